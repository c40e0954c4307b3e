/* A network of ${title}.  C99 and libm alone; nothing is allocated.
 *
 * Of one row x, its numbers in the order of `center` below, in the order of `output_units`:
 *
 *     void outputs(const ${real} *x, ${real} *y);    the values of the output nodes
 *     void predict(const ${real} *x, ${real} *y);    what the network predicts
 *     ${real} loss_and_gradient(const ${real} *x, const ${real} *t, ${real} *gradient);
 *
 * The last one, which is there if it was asked for, gives the loss for targets t, and its derivative by each of
 * the network's parameters in their order; of several rows take the means.  Where arrays are `static` inside of
 * functions, one thread at a time may call them.
 */

${equations}

#include <math.h>

typedef ${real} real;
#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))
enum { SLOTS = ${n_slots}, PARAMETERS = ${n_parameters}, TERMS = ${n_terms}, LEARNED = ${n_learned} };
%%
static const double center[] = {
${center}
};

static const double scale[] = {
${scale}
};

static const real theta[] = {
${theta}
};

static const int starts[] = {
${starts}
};

static const int sources[] = {
${sources}
};

static const int bias_slot[] = {
${bias_slot}
};

static const int learned_slot[] = {
${learned_slot}
};

static const double eps[] = {
${eps}
};

static const int output_units[] = {
${output_units}
};

static const int places[] = {
${places}
};

static const int columns[] = {
${columns}
};

static const int owners[] = {
${owners}
};

static const real factors[] = {
${factors}
};

struct step { int kind, what, target, n_target, width; };
static const struct step steps[] = {
${steps}
};

static real np_maximum(real a, real b) { return a >= b || a != a ? a : b; }

static real np_minimum(real a, real b) { return a <= b || a != a ? a : b; }

static real np_fmax(real a, real b) { return a >= b || b != b ? a : b; }

static real np_fmin(real a, real b) { return a <= b || b != b ? a : b; }

static real np_clip(real a, real low, real high) { return np_minimum(np_maximum(a, low), high); }

static real np_square(real a) { return a * a; }

static real np_reciprocal(real a) { return 1 / a; }

static real np_sign(real a) { return a != a ? a : (real)((a > 0) - (a < 0)); }

static real np_heaviside(real a, real at) { return a == 0 ? at : a != a ? a : (real)(a > 0); }

static real np_where(int choice, real a, real b) { return choice ? a : b; }

static int np_logical_not(int a) { return !a; }

static int np_isnan(real a) { return isnan(a) != 0; }

static int np_isinf(real a) { return isinf(a) != 0; }

static int np_isfinite(real a) { return isfinite(a) != 0; }

static int np_signbit(real a) { return signbit(a) != 0; }

static real np_deg2rad(real a) { return a * (real)0.017453292519943295; }

static real np_rad2deg(real a) { return a * (real)57.29577951308232; }

static real np_logaddexp(real a, real b)
{
    return np_maximum(a, b) + log1p${f}(exp${f}(a == b ? 0 : -fabs${f}(a - b)));
}

static real np_logaddexp2(real a, real b)
{
    return np_maximum(a, b) + log1p${f}(exp2${f}(a == b ? 0 : -fabs${f}(a - b))) / (real)0.6931471805599453;
}

static real np_sigmoid(real z)
{
    const real t = exp${f}(-fabs${f}(z));
    return np_maximum(t, np_sign(z)) / (1 + t);
}

static real np_remainder(real a, real b)
{
    const real rest = fmod${f}(a, b);
    return b == 0 ? rest : rest == 0 ? copysign${f}(0, b) : (rest < 0) != (b < 0) ? rest + b : rest;
}

static real np_floor_divide(real a, real b)
{
    const real rest = fmod${f}(a, b);
    const real quotient = (a - rest) / b - (real)(rest != 0 && (rest < 0) != (b < 0));
    const real whole = floor${f}(quotient);
    if (b == 0)
        return a / b;
    return quotient == 0 ? copysign${f}(0, a / b) : whole + (real)(quotient - whole > (real)0.5);
}

static real np_pull(real outer, real slope) { return outer == 0 || slope == 0 ? 0 : outer * slope; }
%%
struct activation {
    void (*value)(const real *z, const real *learned, int n, real *into);
    void (*slope)(const real *z, const real *a, const real *learned, int n, real *into);
    int count;
    void (*by[LEARNED])(const real *z, const real *learned, int n, real *into);
};
static const struct activation activations[] = {
${activations}
};

struct aggregation {
    real (*value)(const real *terms, int n);
    void (*slope)(const real *terms, real result, int n, real *into);
};
static const struct aggregation aggregations[] = {
${aggregations}
};

struct head {
    void (*predict)(const real *outputs, int n, real *into);
    real (*value)(const real *outputs, const real *targets, int n);
    void (*slope)(const real *outputs, const real *targets, int n, real *into);
    real weight;
    int n;
};
static const struct head heads[] = {
${heads}
};

static real bias_of(int u) { return bias_slot[u] < 0 ? 0 : theta[bias_slot[u]]; }

static void sums(const struct step *s, real *z, const real *a)
{
    for (int u = s->target; u < s->target + s->n_target; u++) {
        const int end = starts[u + 1];
        real own = 0, second = 0, third = 0, fourth = 0;
        int e = starts[u];
        for (; e + 3 < end; e += 4) {
            own += theta[e] * a[sources[e]];
            second += theta[e + 1] * a[sources[e + 1]];
            third += theta[e + 2] * a[sources[e + 2]];
            fourth += theta[e + 3] * a[sources[e + 3]];
        }
        for (; e < end; e++)
            own += theta[e] * a[sources[e]];
        z[u] = own + second + (third + fourth) + bias_of(u);
    }
}

static int terms_of(int u, const real *a, real *terms)
{
    for (int e = starts[u]; e < starts[u + 1]; e++)
        terms[e - starts[u]] = theta[e] * a[sources[e]];
    return starts[u + 1] - starts[u];
}

static void aggregate(const struct step *s, real *z, const real *a)
{
    ${memory}real terms[TERMS];
    for (int u = s->target; u < s->target + s->n_target; u++)
        z[u] = aggregations[s->what].value(terms, terms_of(u, a, terms)) + bias_of(u);
}

static real standardized(const struct step *s, int u, const real *a, real *x)
{
    double mean = 0, variance = 0;
    for (int k = 0; k < s->width; k++)
        mean += (double)a[sources[starts[u + k]]] / s->width;
    for (int k = 0; k < s->width; k++) {
        const double away = (double)a[sources[starts[u + k]]] - mean;
        variance += away * away / s->width;
    }
    for (int k = 0; k < s->width; k++)
        x[k] = (real)(((double)a[sources[starts[u + k]]] - mean) / sqrt(variance + eps[s->what]));
    return (real)(1 / sqrt(variance + eps[s->what]));
}

static void layer(const struct step *s, real *z, const real *a)
{
    ${memory}real x[COUNT(bias_slot)];
    for (int u = s->target; u < s->target + s->n_target; u += s->width) {
        standardized(s, u, a, x);
        for (int k = 0; k < s->width; k++)
            z[u + k] = theta[starts[u + k]] * x[k] + bias_of(u + k);
    }
}

static void forward(const real *x, real *z, real *a)
{
    for (int k = 0; k < COUNT(center); k++)
        z[k] = a[k] = (real)((x[k] - center[k]) / scale[k]);
    for (const struct step *s = steps; s < steps + COUNT(steps); s++)
        switch (s->kind) {
@activate         case 2:
@activate             activations[s->what].value(z + s->target, theta + learned_slot[s->target], s->n_target, a + s->target);
@activate             break;
@aggregate         case 3:
@aggregate             aggregate(s, z, a);
@aggregate             break;
@layer         case 4:
@layer             layer(s, z, a);
@layer             break;
        default:
            sums(s, z, a);
        }
}

void outputs(const real *x, real *y)
{
    ${memory}real a[COUNT(bias_slot)];
    forward(x, a, a);
    for (int k = 0; k < COUNT(output_units); k++)
        y[k] = a[output_units[k]];
}

void predict(const real *x, real *y)
{
    ${memory}real own[COUNT(output_units)], found[COUNT(output_units)];
    const int *place = places;
    outputs(x, y);
    for (const struct head *h = heads; h < heads + COUNT(heads); place += h->n, h++) {
        if (!h->predict)
            continue;
        for (int k = 0; k < h->n; k++)
            own[k] = y[place[k]];
        h->predict(own, h->n, found);
        for (int k = 0; k < h->n; k++)
            y[place[k]] = found[k];
    }
}

static void activate_back(const struct step *s, const real *z, const real *a, real *d, real *g)
{
    const struct activation *const of = activations + s->what;
    const int first = learned_slot[s->target];
    for (int which = 0; which < of->count; which++) {
        for (int k = 0; k < s->n_target; k++)
            g[first + k * of->count + which] = d[s->target + k];
        of->by[which](z + s->target, theta + first, s->n_target, g + first);
    }
    of->slope(z + s->target, a + s->target, theta + first, s->n_target, d + s->target);
}

static void sums_back(const struct step *s, const real *a, real *d, real *g)
{
    for (int u = s->target; u < s->target + s->n_target; u++)
        for (int e = starts[u]; e < starts[u + 1]; e++) {
            g[e] = d[u] * a[sources[e]];
            d[sources[e]] += d[u] * theta[e];
        }
}

static void aggregate_back(const struct step *s, const real *a, real *d, real *g)
{
    ${memory}real terms[TERMS], own[TERMS];
    for (int u = s->target; u < s->target + s->n_target; u++) {
        const int n = terms_of(u, a, terms);
        for (int k = 0; k < n; k++)
            own[k] = d[u];
        aggregations[s->what].slope(terms, aggregations[s->what].value(terms, n), n, own);
        for (int e = starts[u]; e < starts[u + 1]; e++) {
            g[e] = own[e - starts[u]] * a[sources[e]];
            d[sources[e]] += own[e - starts[u]] * theta[e];
        }
    }
}

static void layer_back(const struct step *s, const real *a, real *d, real *g)
{
    ${memory}real x[COUNT(bias_slot)];
    for (int u = s->target; u < s->target + s->n_target; u += s->width) {
        const real inverse = standardized(s, u, a, x);
        real plain = 0, along = 0;
        for (int k = 0; k < s->width; k++) {
            g[starts[u + k]] = d[u + k] * x[k];
            plain += d[u + k] * theta[starts[u + k]] / (real)s->width;
            along += d[u + k] * theta[starts[u + k]] * x[k] / (real)s->width;
        }
        for (int k = 0; k < s->width; k++)
            d[sources[starts[u + k]]] += inverse * (d[u + k] * theta[starts[u + k]] - plain - x[k] * along);
    }
}

static real judged(const real *a, const real *t, real *d)
{
    ${memory}real own[COUNT(output_units)], wanted[COUNT(output_units)], pull[COUNT(output_units)];
    const int *place = places, *column = columns;
    real loss = 0;
    for (const struct head *h = heads; h < heads + COUNT(heads); place += h->n, column += h->n, h++) {
        for (int k = 0; k < h->n; k++) {
            own[k] = a[output_units[place[k]]];
            wanted[k] = t[column[k]];
            pull[k] = h->weight;
        }
        loss += h->weight * h->value(own, wanted, h->n);
        h->slope(own, wanted, h->n, pull);
        for (int k = 0; k < h->n; k++)
            d[output_units[place[k]]] = pull[k];
    }
    return loss;
}

static void backward(const real *z, const real *a, real *d, real *g)
{
    (void)z, (void)a;
    for (const struct step *s = steps + COUNT(steps) - 1; s >= steps; s--) {
@activate         if (s->kind == 2) {
@activate             activate_back(s, z, a, d, g);
@activate             continue;
@activate         }
        for (int u = s->target; u < s->target + s->n_target; u++)
            if (bias_slot[u] >= 0)
                g[bias_slot[u]] = d[u];
@aggregate         if (s->kind == 3)
@aggregate             aggregate_back(s, a, d, g);
@layer         if (s->kind == 4)
@layer             layer_back(s, a, d, g);
        if (s->kind < 2)
            sums_back(s, a, d, g);
    }
}

real loss_and_gradient(const real *x, const real *t, real *gradient)
{
    ${memory}real z[COUNT(bias_slot)], a[COUNT(bias_slot)], d[COUNT(bias_slot)], g[SLOTS + 1];
    real loss;
    for (int u = 0; u < COUNT(bias_slot); u++)
        d[u] = 0;
    forward(x, z, a);
    loss = judged(a, t, d);
    backward(z, a, d, g);
    for (int k = 0; k < PARAMETERS; k++)
        gradient[k] = 0;
    for (int k = 0; k < SLOTS; k++)
        if (owners[k] >= 0)
            gradient[owners[k]] += factors[k] * g[k];
    return loss;
}
