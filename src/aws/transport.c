/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/transport.h"

void cv_aws_transport_free(struct cv_aws_transport **t)
{
    if (t == NULL || *t == NULL)
        return;
    (*t)->ops->free(*t);
    *t = NULL;
}
