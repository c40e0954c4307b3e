"""Difference quotients in long double, and where functions are looked at."""

import numpy as np

STEP = np.longdouble(np.finfo(np.longdouble).eps) ** np.longdouble(0.2)
ANYWHERE = np.array([-2.71, -1.3, -0.41, -0.26, 0.27, 0.36, 1.1, 2.63, 4.27])
POSITIVE = np.array([0.3, 0.55, 0.9, 2.63, 4.27])
INSIDE = np.array([-0.9, -0.3, 0.01, 0.5, 0.95])
DOMAINS = {
    **dict.fromkeys(("sqrt", "log", "log2", "log10", "log1p", "power"), POSITIVE),
    **dict.fromkeys(("arcsin", "arccos", "arctanh"), INSIDE),
    "arccosh": np.array([1.05, 1.5, 3.0, 20.0]),
}
"""By the names of operations; the others are looked at anywhere."""
ROWS = np.array([[0.31, -1.2, 2.4, 0.9], [1.7, 0.44, -0.6, -2.1], [-0.35, 1.9, 0.77, 3.2]])


def quotient(function, *arrays, by=0, places=(...,), step=STEP):
    """∂(sum)/∂(each number of one array), of fourth order; what is moved together must not interact."""
    arrays = [np.asarray(array, np.longdouble) for array in arrays]
    found = np.empty(arrays[by].shape)
    for place in places:
        x = arrays[by][place]
        h, values = (x + step * np.maximum(1, abs(x))) - x, []
        for times in (1, -1, 2, -2):
            moved = [array.copy() for array in arrays]
            moved[by][place] += times * h
            values.append(function(*moved))
        found[place] = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * h)
    return found
