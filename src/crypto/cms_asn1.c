/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/cms_asn1.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>

ASN1_SEQUENCE(CV_CMS_RECIPIENT) =
    {
        ASN1_SIMPLE(CV_CMS_RECIPIENT, version, ASN1_INTEGER),
        ASN1_SIMPLE(CV_CMS_RECIPIENT, rid, ASN1_ANY),
        ASN1_SIMPLE(CV_CMS_RECIPIENT, algorithm, X509_ALGOR),
        ASN1_SIMPLE(CV_CMS_RECIPIENT, encrypted_key, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(CV_CMS_RECIPIENT)

        ASN1_SEQUENCE(CV_CMS_CONTENT) =
            {
                ASN1_SIMPLE(CV_CMS_CONTENT, type, ASN1_OBJECT),
                ASN1_SIMPLE(CV_CMS_CONTENT, algorithm, X509_ALGOR),
                ASN1_IMP_OPT(CV_CMS_CONTENT, encrypted, ASN1_OCTET_STRING, 0),
} static_ASN1_SEQUENCE_END(CV_CMS_CONTENT)

                ASN1_SEQUENCE(CV_CMS_ENVELOPED) =
                    {
                        ASN1_SIMPLE(CV_CMS_ENVELOPED, version, ASN1_INTEGER),
                        ASN1_IMP_SEQUENCE_OF_OPT(CV_CMS_ENVELOPED, originator, ASN1_ANY, 0),
                        ASN1_SET_OF(CV_CMS_ENVELOPED, recipients, CV_CMS_RECIPIENT),
                        ASN1_SIMPLE(CV_CMS_ENVELOPED, content, CV_CMS_CONTENT),
} static_ASN1_SEQUENCE_END(CV_CMS_ENVELOPED)

                        ASN1_SEQUENCE(CV_CMS) =
                            {
                                ASN1_SIMPLE(CV_CMS, type, ASN1_OBJECT),
                                ASN1_EXP(CV_CMS, enveloped, CV_CMS_ENVELOPED, 0),
} static_ASN1_SEQUENCE_END(CV_CMS)

                                CV_CMS
                            * cv_cms_decode(const unsigned char *in, size_t n)
{
    const unsigned char *p = in;
    CV_CMS *cms = (CV_CMS *)ASN1_item_d2i(NULL, &p, (long)n, ASN1_ITEM_rptr(CV_CMS));
    if (cms != NULL && p == in + n)
        return cms;
    cv_cms_free(cms);
    ERR_clear_error();
    return NULL;
}

void cv_cms_free(CV_CMS *cms)
{
    ASN1_item_free((ASN1_VALUE *)cms, ASN1_ITEM_rptr(CV_CMS));
}
