/* SPDX-License-Identifier: Apache-2.0 */
/* The signer's own image: claviger-enclave and its settings. */
#ifndef CV_CLI_EIF_SIGNER_H
#define CV_CLI_EIF_SIGNER_H

#include "cli/command.h"
#include "eif/build.h"

struct cv_eif_signer {
    struct cv_option_list cmk, set;
    bool unpinned;
    const char *region, *endpoint, *ca_file, *program;
};

/* True when an option of the signer was given. */
bool cv_eif_signer_given(const struct cv_eif_signer *o);
/* Puts the program and /etc/claviger/enclave.conf into SOURCE (an empty one)
 * and the command into SETTINGS. PROGRAM_DIR is where claviger-enclave lies
 * beside us, or NULL. */
int cv_eif_signer_fill(const struct cv_eif_signer *o, const char *program_dir,
                       struct cv_source *source, struct cv_boot_settings *settings,
                       struct cv_error *err) CV_NODISCARD;

#endif
