/* ---- W: the windows of pools ------------------------------------------------------------------------------------ */

typedef struct {
    size_t kernel_h, kernel_w, stride_h, stride_w, top, left;
} window;

/* Rows first_y .. end_y - 1 and columns first_x .. end_x - 1 of an image: the valid pixels of a window. */
typedef struct {
    size_t first_y, end_y, first_x, end_x;
} valid;

/* W1, W3: the pixels of window number `pixel` that lie in the image; there is at least one. */
static valid valid_pixels(const window *w, const layer *l, const layer *x, size_t pixel)
{
    const size_t y = pixel / l->width * w->stride_h, z = pixel % l->width * w->stride_w;
    const size_t end_y = y + w->kernel_h - w->top, end_x = z + w->kernel_w - w->left;
    valid v;
    v.first_y = y < w->top ? 0 : y - w->top;
    v.first_x = z < w->left ? 0 : z - w->left;
    v.end_y = end_y < x->height ? end_y : x->height;
    v.end_x = end_x < x->width ? end_x : x->width;
    return v;
}
