/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Michelson expressions are trees; this walks one with a stack of its own, so
 * that depth costs a few bytes a level and is capped, whoever made the tree.
 */
#include "tezos/fields.h"

struct frame {
    size_t outer;     /* of a sequence: where the window around it ends */
    bool sequence;    /* expressions until the window is used up */
    uint8_t missing;  /* of a primitive: arguments still to come */
    bool annotations; /* a string follows the arguments */
};

struct walk {
    struct frame stack[CV_MICHELSON_DEPTH];
    size_t depth;
};

static void push(struct cv_fields *f, struct walk *w, struct frame frame)
{
    if (w->depth == CV_MICHELSON_DEPTH)
        cv_fields_fail(f, CV_ERR_LIMIT, "a Michelson expression is nested too deeply");
    else
        w->stack[w->depth++] = frame;
}

static void push_sequence(struct cv_fields *f, struct walk *w, bool annotations)
{
    size_t outer = cv_field_enter(f);
    push(f, w, (struct frame){.outer = outer, .sequence = true, .annotations = annotations});
}

/* The head of one expression; what is inside is left to the frames. */
static void head(struct cv_fields *f, struct walk *w)
{
    uint8_t tag = cv_read_u8(&f->r);
    switch (tag) {
    case 0:
        cv_field_z(f, CV_MICHELSON_INT_MAX);
        break;
    case 1:  /* string */
    case 10: /* bytes */
        cv_field_dyn(f);
        break;
    case 2:
        push_sequence(f, w, false);
        break;
    case 3: /* a primitive with 0, 1 or 2 arguments, without and with annotations */
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
        cv_field_skip(f, 1);
        push(f, w,
             (struct frame){.missing = (uint8_t)((tag - 3) / 2), .annotations = tag % 2 == 0});
        break;
    case 9: /* any number of arguments, annotations always */
        cv_field_skip(f, 1);
        push_sequence(f, w, true);
        break;
    default:
        cv_fields_unknown_tag(f, tag);
    }
}

/* True when the innermost frame has another expression in it. */
static bool take_next(struct cv_fields *f, struct frame *top)
{
    if (top->sequence)
        return cv_fields_left(f) > 0;
    if (top->missing == 0)
        return false;
    top->missing--;
    return true;
}

static void finish(struct cv_fields *f, const struct frame *top)
{
    if (top->sequence)
        cv_field_leave(f, top->outer);
    if (top->annotations)
        cv_field_dyn(f);
}

void cv_field_michelson(struct cv_fields *f)
{
    struct walk w;
    w.depth = 0;
    head(f, &w);
    while (w.depth > 0 && cv_fields_ok(f)) {
        struct frame *top = &w.stack[w.depth - 1];
        if (take_next(f, top)) {
            head(f, &w);
        } else {
            finish(f, top);
            w.depth--;
        }
    }
}

void cv_field_dyn_michelson(struct cv_fields *f)
{
    size_t outer = cv_field_enter(f);
    cv_field_michelson(f);
    cv_field_leave(f, outer);
}
