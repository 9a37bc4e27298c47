/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products of matrices, part of kge_kernel_body.h. Not a header of its own: no guard.
 *
 * Two multiply-adds per cycle that take four cycles each need eight sums under way, and two loads per cycle allow one load per
 * multiply-add: so the innermost loops keep as many sums as there are registers, in rectangles, of which each operand is loaded
 * once. What they go through again and again must stay in the first cache, and rows of a power of two of floats, or a page, would
 * have but a few places of it and an entry of the table of pages each: where several rows go through them they are copied side by
 * side first. */
enum {
    COLUMNS = 4,
    COLUMNS_OF_ONE = ROWS * COLUMNS,
    BLOCK_FLOATS = 4096, /* half of the first cache */
    COPY_FROM = 16,      /* rows that go through a block, for its copy to pay */
};

/* ---- Products of rows ----
 *
 * A product adds in LANES independent sums and joins them pairwise; its order of additions does not depend on the tile. */

INLINE struct kge_rows from(struct kge_rows m, uint32_t row)
{
    return (struct kge_rows){m.first + row * m.stride, m.stride, m.n - row};
}

/* n floats; LANES, if `whole` (a constant). */
INLINE vec load_up_to(const float *row, uint32_t n, const bool whole)
{
    return whole ? load(row) : load_rest(row, n);
}

/* Adds to a tile what the first n floats of each row contribute. */
INLINE void multiply(vec parts[ROWS][COLUMNS_OF_ONE], struct kge_rows a, struct kge_rows b, uint32_t n, const bool whole,
                     const int rows, const int columns)
{
    vec left[ROWS];
#pragma GCC unroll 8
    for (int x = 0; x < rows; x++)
        left[x] = load_up_to(a.first + (size_t)x * a.stride, n, whole);
#pragma GCC unroll 32
    for (int y = 0; y < columns; y++) {
        vec right = load_up_to(b.first + (size_t)y * b.stride, n, whole);
#pragma GCC unroll 8
        for (int x = 0; x < rows; x++)
            parts[x][y] += left[x] * right;
    }
}

/* Products of `rows` rows of a with `columns` rows of b; both numbers are constants. */
INLINE void tile(struct kge_rows a, struct kge_rows b, uint32_t dims, float *out, size_t out_stride, const int rows,
                 const int columns)
{
    vec parts[ROWS][COLUMNS_OF_ONE] = {{{0}}};
    uint32_t i = 0;
    for (; i + LANES <= dims; i += LANES, a.first += LANES, b.first += LANES)
        multiply(parts, a, b, LANES, true, rows, columns);
    if (i < dims)
        multiply(parts, a, b, dims - i, false, rows, columns);
#pragma GCC unroll 8
    for (int x = 0; x < rows; x++)
#pragma GCC unroll 8
        for (int y = 0; y < columns; y += 4) {
            vec4 s = sums(parts[x][y], parts[x][y + 1], parts[x][y + 2], parts[x][y + 3]);
            memcpy(out + (size_t)x * out_stride + y, &s, (size_t)(columns < 4 ? columns : 4) * sizeof(float));
        }
}

/* `rows` (a constant) rows of a with all rows of b. */
INLINE void scores_of_rows(struct kge_rows a, struct kge_rows b, uint32_t dims, float *out, size_t out_stride, const int rows)
{
    uint32_t y = 0;
    for (; rows == 1 && y + COLUMNS_OF_ONE <= b.n; y += COLUMNS_OF_ONE)
        tile(a, from(b, y), dims, out + y, out_stride, rows, COLUMNS_OF_ONE);
    for (; y + COLUMNS <= b.n; y += COLUMNS)
        tile(a, from(b, y), dims, out + y, out_stride, rows, COLUMNS);
    if (y < b.n && b.n >= COLUMNS) {
        y = b.n - COLUMNS; /* some once more */
        tile(a, from(b, y), dims, out + y, out_stride, rows, COLUMNS);
        y = b.n;
    }
    for (; y < b.n; y++)
        tile(a, from(b, y), dims, out + y, out_stride, rows, 1);
}

static void scores_of_block(struct kge_rows a, struct kge_rows b, uint32_t dims, float *out, size_t out_stride)
{
    uint32_t x = 0;
    for (; x + ROWS <= a.n; x += ROWS)
        scores_of_rows(from(a, x), b, dims, out + x * out_stride, out_stride, ROWS);
    for (; x < a.n; x++)
        scores_of_rows(from(a, x), b, dims, out + x * out_stride, out_stride, 1);
}

/* All rows of a go through a block of rows of b. */
static void scores(struct kge_rows a, struct kge_rows b, uint32_t dims, float *out, size_t out_stride)
{
    if (a.n < COPY_FROM || COLUMNS * dims > BLOCK_FLOATS) {
        scores_of_block(a, b, dims, out, out_stride);
        return;
    }
    const uint32_t most = BLOCK_FLOATS / dims / COLUMNS * COLUMNS;
    float block[BLOCK_FLOATS];
    for (uint32_t y = 0; y < b.n; y += most) {
        struct kge_rows copies = {block, dims, b.n - y < most ? b.n - y : most};
        for (uint32_t k = 0; k < copies.n; k++)
            memcpy(block + (size_t)k * dims, b.first + (y + k) * b.stride, dims * sizeof *block);
        scores_of_block(a, copies, dims, out + y, out_stride);
    }
}

/* ---- Weighted sums of rows ---- */

/* A matrix of weights: that of b's row y in row x of the result. */
struct weights {
    const float *first;
    size_t a_stride, b_stride;
};

/* Sums of b's first `width` columns, which go on from what is in out if `continued`. `rows`, `vectors` and `whole`, which says that
 * the last vector is full, are constants. */
INLINE void strip(struct weights w, struct kge_rows b, uint32_t width, float *out, size_t out_stride, bool continued,
                  const bool whole, const int rows, const int vectors)
{
    const uint32_t rest = width - (uint32_t)(vectors - 1) * LANES; /* of the last vector */
    vec parts[SUMS][WIDE] = {{{0}}};
    if (continued) {
#pragma GCC unroll 16
        for (int x = 0; x < rows; x++)
#pragma GCC unroll 16
            for (int k = 0; k < vectors; k++)
                parts[x][k] = load_up_to(out + (size_t)x * out_stride + k * LANES, rest, whole || k < vectors - 1);
    }
    for (uint32_t y = 0; y < b.n; y++) {
        vec right[WIDE];
#pragma GCC unroll 16
        for (int k = 0; k < vectors; k++)
            right[k] = load_up_to(b.first + y * b.stride + k * LANES, rest, whole || k < vectors - 1);
#pragma GCC unroll 16
        for (int x = 0; x < rows; x++) {
            float weight = w.first[(size_t)x * w.a_stride + y * w.b_stride];
#pragma GCC unroll 16
            for (int k = 0; k < vectors; k++)
                parts[x][k] += weight * right[k];
        }
    }
#pragma GCC unroll 16
    for (int x = 0; x < rows; x++)
#pragma GCC unroll 16
        for (int k = 0; k < vectors; k++) {
            float *place = out + (size_t)x * out_stride + k * LANES;
            if (whole || k < vectors - 1)
                store(place, parts[x][k]);
            else
                store_rest(place, parts[x][k], rest);
        }
}

/* `rows` (a constant) rows of the result. */
INLINE void sums_of_rows(struct weights w, struct kge_rows b, uint32_t dims, float *out, size_t out_stride, bool continued,
                         const int rows)
{
    uint32_t left = dims;
    for (; rows == 1 && left >= WIDE * LANES; left -= WIDE * LANES, b.first += WIDE * LANES, out += WIDE * LANES)
        strip(w, b, WIDE * LANES, out, out_stride, continued, true, rows, WIDE);
    for (; left >= 2 * LANES; left -= 2 * LANES, b.first += 2 * LANES, out += 2 * LANES)
        strip(w, b, 2 * LANES, out, out_stride, continued, true, rows, 2);
    if (left > LANES)
        strip(w, b, left, out, out_stride, continued, false, rows, 2);
    else if (left == LANES)
        strip(w, b, left, out, out_stride, continued, true, rows, 1);
    else if (left > 0)
        strip(w, b, left, out, out_stride, continued, false, rows, 1);
}

static void sums_of_block(struct weights w, uint32_t n, struct kge_rows b, uint32_t dims, float *out, size_t out_stride,
                          bool continued)
{
    uint32_t x = 0;
    for (; x + SUMS <= n; x += SUMS, w.first += SUMS * w.a_stride)
        sums_of_rows(w, b, dims, out + x * out_stride, out_stride, continued, SUMS);
    for (; x + 4 <= n; x += 4, w.first += 4 * w.a_stride)
        sums_of_rows(w, b, dims, out + x * out_stride, out_stride, continued, 4);
    for (; x < n; x++, w.first += w.a_stride)
        sums_of_rows(w, b, dims, out + x * out_stride, out_stride, continued, 1);
}

/* The first `width` <= 2 LANES columns of n rows, side by side. */
INLINE void copy_panel(const float *rows, size_t stride, uint32_t n, const uint32_t width, float *panel)
{
    for (uint32_t k = 0; k < n; k++, rows += stride, panel += 2 * LANES) {
        store(panel, width >= LANES ? load(rows) : load_rest(rows, width));
        if (width > LANES)
            store(panel + LANES, width == 2 * LANES ? load(rows + LANES) : load_rest(rows + LANES, width - LANES));
    }
}

/* All rows of the result go through a panel: 2 LANES columns of some rows of b. Half a block, as the weights need room, too. */
static void combine(const float *weights, size_t a_stride, size_t b_stride, uint32_t n, struct kge_rows b, uint32_t dims,
                    float *out, size_t out_stride)
{
    enum { PANEL = 2 * LANES, DEPTH = BLOCK_FLOATS / 2 / PANEL };
    float block[DEPTH * PANEL];
    struct weights w = {weights, a_stride, b_stride};
    if (n < COPY_FROM) {
        sums_of_block(w, n, b, dims, out, out_stride, false);
        return;
    }
    for (uint32_t y = 0; y == 0 || y < b.n; y += DEPTH, w.first += DEPTH * b_stride)
        for (uint32_t i = 0; i < dims; i += PANEL) {
            struct kge_rows copies = {block, PANEL, b.n - y < DEPTH ? b.n - y : DEPTH};
            uint32_t width = dims - i < PANEL ? dims - i : PANEL;
            if (width == PANEL)
                copy_panel(from(b, y).first + i, b.stride, copies.n, PANEL, block);
            else
                copy_panel(from(b, y).first + i, b.stride, copies.n, width, block);
            sums_of_block(w, n, copies, width, out + i, out_stride, y > 0);
        }
}
