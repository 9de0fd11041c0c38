/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claviger-local run: an enclave image on this machine, in namespaces instead
 * of a virtual machine. What the files of it share.
 */
#ifndef CV_LOCAL_RUN_H
#define CV_LOCAL_RUN_H

#include <limits.h>

#include "eif/measure.h"
#include "parent/parent.h"
#include "settings/boot.h"

#define CV_RUN_LIST 64

struct cv_run_list {
    const char *item[CV_RUN_LIST];
    size_t count;
};

struct cv_run_options {
    const char *image, *dir, *init, *pcr0; /* dir NULL: a temporary one; pcr0 NULL: the image's */
    struct cv_run_list env, file, expose;
    bool no_expose, debug_mode, json;
    unsigned stop_seconds;
};

/* What is known of the image and of the folder. */
struct cv_run {
    const struct cv_run_options *options;
    char dir[PATH_MAX];  /* state of the stand-ins */
    char work[PATH_MAX]; /* DIR/run: made anew, removed at the end */
    bool temporary;      /* DIR is removed too */
    int lock;            /* -1 */
    struct cv_eif_pcrs pcrs;
    struct cv_boot_settings settings;
    /* Of the stand-ins, once they run: */
    char region[64], role_arn[160];
    char kms[CV_ADDR_TEXT], s3[CV_ADDR_TEXT]; /* tcp:HOST:PORT */
    struct cv_aws_provider *provider;
};

/* TAIL below DIR's run folder ("" for itself) into OUT. */
const char *cv_run_path(char out[PATH_MAX], const struct cv_run *r, const char *tail);

/* Makes DIR and DIR/run, measures the image and unpacks it. R is ended by the
 * caller with cv_run_close() in any case. */
int cv_run_open(struct cv_run *r, const struct cv_run_options *options,
                struct cv_error *err) CV_NODISCARD;
void cv_run_close(struct cv_run *r);
/* True when `up` serves in DIR. */
bool cv_run_standins_up(const struct cv_run *r);
/* Reads where the stand-ins of DIR are, and whose credentials the parent has. */
int cv_run_standins(struct cv_run *r, struct cv_error *err) CV_NODISCARD;

/* Runs it to its end: the exit status. */
int cv_run_go(struct cv_run *r, int signals);

#endif
