/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of a tree, for tree.c and tree_nodes.c alone. */
#ifndef CV_EIF_TREE_PRIVATE_H
#define CV_EIF_TREE_PRIVATE_H

#include "eif/tree.h"

int cv_tree_no_memory(struct cv_error *err);
/* The child NAME (N bytes) of PARENT; NULL. */
struct cv_tree_node *cv_tree_lookup(const struct cv_tree *t, const struct cv_tree_node *parent,
                                    const char *name, size_t n);
/* A new folder; NULL with the reason in ERR. */
struct cv_tree_node *cv_tree_add(struct cv_tree *t, struct cv_tree_node *parent, const char *name,
                                 size_t n, struct cv_error *err);
void cv_tree_drop_content(struct cv_tree *t, struct cv_tree_node *node);
/* With all that is in it. */
void cv_tree_remove(struct cv_tree *t, struct cv_tree_node *top);

#endif
