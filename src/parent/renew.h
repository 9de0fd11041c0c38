/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials fetched in a thread of its own, since a provider may block. */
#ifndef CV_PARENT_RENEW_H
#define CV_PARENT_RENEW_H

#include "aws/credentials.h"

struct cv_renewer;

/* Adds 1 to the eventfd NOTIFY for everything there is to take. */
int cv_renewer_start(struct cv_renewer **out, struct cv_aws_provider *provider, int notify,
                     struct cv_error *err) CV_NODISCARD;
/* Somebody waits for credentials: they are fetched, or looked at again, now. */
void cv_renewer_want(struct cv_renewer *r);
/* What has come since the last call: 0 with credentials (*RENEWED: others than
 * before), CV_ERR_NOT_FOUND for nothing new, or the failure with its sentence. */
int cv_renewer_take(struct cv_renewer *r, struct cv_aws_credentials *out, bool *renewed,
                    struct cv_error *err) CV_NODISCARD;
/* A fetch that is under way is waited for, for 30 seconds at most by its own
 * deadline. Harmless on NULL. */
void cv_renewer_stop(struct cv_renewer **r);

#endif
