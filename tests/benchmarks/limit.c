/* The limit to compare with: one training step's forward and backward pass of an irregular
 * network, by hand.  State is tile-major: (tile, unit, ROWS), structure of arrays, so that an
 * edge is ROWS / 16 fused multiply-adds on whole vectors.  Parameters and gradient are in the order of
 * the backward walk (source-major); forward reads a copy in its own order, made once a step.
 *
 * Compiled at run time by limit.py:  -DROWS=64|32|16   rows in a tile
 *                                    -DKEEP=1          values and deltas of all tiles are kept
 *                                    -DKEEP=0          one tile's state, reused, δ over a (fused)
 */
#include <stdint.h>
#include <string.h>

#define LANES 16
#define VECTORS (ROWS / LANES)
#define AHEAD 32 /* edges whose δ the backward walk asks for in advance */

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4 * LANES)));
typedef int mask __attribute__((vector_size(4 * LANES)));
typedef float quad __attribute__((vector_size(16), aligned(4)));

typedef struct {
    int64_t n_units, n_inputs, n_outputs, n_edges;
    const int64_t *outputs;                              /* ascending */
    const int32_t *indptr, *sources, *slots; /* parents, target-major; each edge's place in theta */
    const int32_t *indptr_out, *targets_out; /* children, source-major; AHEAD readable entries before it */
} net;

static inline vec zero(void) { return (vec){0}; }

/* delta where a > 0, else 0 */
static inline vec gate(vec delta, vec a) { return (vec)((mask)delta & (a > zero())); }

static inline float sum1(vec p) {
    float s = 0;
    for (int i = 0; i < LANES; i++) s += p[i];
    return s;
}

#ifdef __AVX512F__
#include <immintrin.h>
/* Sums of four vectors at once, as one vector of four floats. */
static inline quad sum4(vec p0, vec p1, vec p2, vec p3) {
    __m512 a = (__m512)p0, b = (__m512)p1, c = (__m512)p2, d = (__m512)p3;
    __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    __m512d lo = _mm512_unpacklo_pd((__m512d)ab, (__m512d)cd), hi = _mm512_unpackhi_pd((__m512d)ab, (__m512d)cd);
    __m512 all = _mm512_add_ps((__m512)lo, (__m512)hi);
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all),
                                (__m256)_mm512_extractf64x4_pd((__m512d)all, 1));
    return (quad)_mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}
#else
static inline quad sum4(vec p0, vec p1, vec p2, vec p3) { return (quad){sum1(p0), sum1(p1), sum1(p2), sum1(p3)}; }
#endif

static void forward(const net *g, const float *w, const float *bias, vec (*a)[VECTORS]) {
    int64_t next_output = 0;
    for (int64_t u = g->n_inputs; u < g->n_units; u++) {
        vec acc[VECTORS];
        for (int v = 0; v < VECTORS; v++) acc[v] = zero() + bias[u];
        for (int32_t e = g->indptr[u]; e < g->indptr[u + 1]; e++) {
            const vec *parent = a[g->sources[e]];
            for (int v = 0; v < VECTORS; v++) acc[v] += w[e] * parent[v];
        }
        if (next_output < g->n_outputs && g->outputs[next_output] == u) {
            next_output++;
            for (int v = 0; v < VECTORS; v++) a[u][v] = acc[v];
        } else {
            for (int v = 0; v < VECTORS; v++) a[u][v] = gate(acc[v], acc[v]);
        }
    }
}

/* One edge: w·δ of the child is added to acc; its a·δ, still one sum a lane, is returned. */
static inline vec edge(const net *g, const float *theta, const vec *own, int32_t e, vec (*delta)[VECTORS], vec *acc) {
    const vec *child = delta[g->targets_out[e]], *soon = delta[g->targets_out[e - AHEAD]];
    float w = theta[e];
    vec product = zero();
    for (int v = 0; v < VECTORS; v++) __builtin_prefetch(soon + v, 0, 3);
    for (int v = 0; v < VECTORS; v++) {
        vec d = child[v];
        acc[v] += w * d;
        product += own[v] * d;
    }
    return product;
}

/* Σ over children of w·δ into acc; a·δ into the gradient, four edges at a time. */
static inline void pull(const net *g, const float *theta, float *grad, const vec *own, int64_t u,
                        vec (*delta)[VECTORS], vec *acc) {
    int32_t e = g->indptr_out[u], end = g->indptr_out[u + 1];
    for (; e + 4 <= end; e += 4) {
        vec product[4];
        for (int k = 0; k < 4; k++) product[k] = edge(g, theta, own, e + k, delta, acc);
        *(quad *)(grad + e) += sum4(product[0], product[1], product[2], product[3]);
    }
    if (e < end) {
        vec product[4] = {zero(), zero(), zero(), zero()};
        for (int k = 0; e + k < end; k++) product[k] = edge(g, theta, own, e + k, delta, acc);
        quad s = sum4(product[0], product[1], product[2], product[3]);
        for (int k = 0; e + k < end; k++) grad[e + k] += s[k];
    }
}

static void backward(const net *g, const float *theta, float *grad, float *grad_bias, vec (*a)[VECTORS],
                     vec (*delta)[VECTORS]) {
    int64_t next_output = g->n_outputs - 1;
    for (int64_t u = g->n_units - 1; u >= 0; u--) {
        vec own[VECTORS], acc[VECTORS], total = zero();
        if (next_output >= 0 && g->outputs[next_output] == u) { /* δ stands there already */
            next_output--;
            for (int v = 0; v < VECTORS; v++) total += delta[u][v];
        } else {
            for (int v = 0; v < VECTORS; v++) own[v] = a[u][v], acc[v] = zero();
            pull(g, theta, grad, own, u, delta, acc);
            if (u < g->n_inputs) continue;
            for (int v = 0; v < VECTORS; v++) {
                vec d = gate(acc[v], own[v]);
                delta[u][v] = d;
                total += d;
            }
        }
        grad_bias[u] += sum1(total);
    }
}

/* Squared error of one tile: Σ over outputs and rows; δ of the outputs.  Rows beyond the data count nothing. */
static double error(const net *g, const float *y, int64_t first, int64_t rows, float scale, vec (*a)[VECTORS],
                    vec (*delta)[VECTORS]) {
    double loss = 0;
    for (int64_t k = 0; k < g->n_outputs; k++) {
        const float *value = (const float *)a[g->outputs[k]];
        float *d = (float *)delta[g->outputs[k]];
        float s = 0;
        for (int64_t r = 0; r < ROWS; r++) {
            float e = first + r < rows ? value[r] - y[(first + r) * g->n_outputs + k] : 0.0f;
            s += e * e;
            d[r] = scale * e;
        }
        loss += s;
    }
    return loss;
}

static void load(const net *g, const float *x, int64_t first, int64_t rows, vec (*a)[VECTORS]) {
    for (int64_t i = 0; i < g->n_inputs; i++) {
        float *to = (float *)a[i];
        for (int64_t r = 0; r < ROWS; r++) to[r] = first + r < rows ? x[(first + r) * g->n_inputs + i] : 0.0f;
    }
}

/* One thread's tiles: first_tile, first_tile + stride, …  This thread's gradients are zeroed here and added
 * up.  state: (tiles or 1, units, ROWS) floats, deltas likewise where kept; w: (edges,) scratch. */
double step(const net *g, const float *theta, const float *bias, const float *x, const float *y, int64_t rows,
            int64_t first_tile, int64_t stride, float *state, float *deltas, float *w, float *grad,
            float *grad_bias) {
    double loss = 0;
    memset(grad, 0, sizeof(float) * g->n_edges);
    memset(grad_bias, 0, sizeof(float) * g->n_units);
    for (int64_t e = 0; e < g->n_edges; e++) w[e] = theta[g->slots[e]];
    for (int64_t tile = first_tile; tile * ROWS < rows; tile += stride) {
        int64_t place = KEEP ? tile * g->n_units * ROWS : 0;
        vec(*a)[VECTORS] = (vec(*)[VECTORS])(state + place);
        vec(*delta)[VECTORS] = KEEP ? (vec(*)[VECTORS])(deltas + place) : a;
        load(g, x, tile * ROWS, rows, a);
        forward(g, w, bias, a);
        loss += error(g, y, tile * ROWS, rows, 2.0f / rows, a, delta);
        backward(g, theta, grad, grad_bias, a, delta);
    }
    return loss / rows;
}

/* grad += other: what another thread found. */
void add(int64_t n, float *grad, const float *other) {
    for (int64_t e = 0; e < n; e++) grad[e] += other[e];
}
