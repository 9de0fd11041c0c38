/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claviger-local: the stand-ins of a developer's machine, one subcommand each.
 * They enforce what AWS enforces; none of them is packaged with the production
 * programs, and no verifier accepts their roots by default.
 */
#ifndef CV_LOCAL_LOCAL_H
#define CV_LOCAL_LOCAL_H

/* Each takes its own arguments, argv[0] being the subcommand's name, and
 * returns the process's exit status: 0, 1 failure, 2 usage. */
int cv_local_cmd_nsm(int argc, char **argv);
int cv_local_cmd_kms(int argc, char **argv);
int cv_local_cmd_vm(int argc, char **argv);
int cv_local_cmd_up(int argc, char **argv);
int cv_local_cmd_run(int argc, char **argv);
int cv_local_cmd_proxy(int argc, char **argv);
int cv_local_cmd_imds(int argc, char **argv);
int cv_local_cmd_sts(int argc, char **argv);
int cv_local_cmd_s3(int argc, char **argv);

/* Every subcommand in a file of its own lists its usage text here. */
extern const char cv_local_nsm_usage[];
extern const char cv_local_kms_usage[];
extern const char cv_local_up_usage[];
extern const char cv_local_run_usage[];
extern const char cv_local_vm_usage[];
extern const char cv_local_proxy_usage[];
extern const char cv_local_imds_usage[];
extern const char cv_local_sts_usage[];
extern const char cv_local_s3_usage[];

#endif
