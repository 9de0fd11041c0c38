/* SPDX-License-Identifier: Apache-2.0 */
/* As much XML as the flat replies of STS and S3 need: elements by name. */
#ifndef CV_AWS_XML_H
#define CV_AWS_XML_H

#include "common/bytes.h"

/* The content of the first <TAG>…</TAG> (TAG of at most 32 characters, no
 * attributes), as it stands; empty without one. */
struct cv_bytes cv_xml_element(struct cv_bytes in, const char *tag);
/* The same as a string, the five entities of XML resolved. CV_ERR_NOT_FOUND
 * when there is none or it is empty, CV_ERR_LIMIT when it does not fit. */
int cv_xml_text(char *out, size_t size, struct cv_bytes in, const char *tag) CV_NODISCARD;
/* Resolves the entities in place; the text only gets shorter. Returns its length. */
size_t cv_xml_unescape(char *text, size_t n);

#endif
