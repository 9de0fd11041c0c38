// SPDX-License-Identifier: Apache-2.0
// The official Amazon S3 Encryption Client for Java. Arguments: REGION KMS S3 CMK
// BUCKET. Each line of the input, fields between tabs: put|get FORMAT KEY
// INSTRUCTION(yes|no) CONTEXT(k=v,k=v) CONTENT(base64); each is answered by a line,
// the content in base64, or "refused: " and why.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import software.amazon.awssdk.core.checksums.RequestChecksumCalculation;
import software.amazon.awssdk.core.checksums.ResponseChecksumValidation;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kms.KmsClient;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.encryption.s3.CommitmentPolicy;
import software.amazon.encryption.s3.S3EncryptionClient;
import software.amazon.encryption.s3.algorithms.AlgorithmSuite;
import software.amazon.encryption.s3.internal.InstructionFileConfig;
import software.amazon.encryption.s3.materials.KmsKeyring;

public class Client {
    static S3Client plain;
    static S3AsyncClient async;
    static KmsKeyring keyring;
    static String bucket;

    static S3EncryptionClient client(boolean three, boolean instruction) {
        return S3EncryptionClient.builderV4().wrappedClient(plain).wrappedAsyncClient(async).keyring(keyring)
            .instructionFileConfig(InstructionFileConfig.builder().instructionFileClient(plain)
                .enableInstructionFilePutObject(instruction).build())
            .encryptionAlgorithm(three ? AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
                                       : AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF)
            .commitmentPolicy(three ? CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
                                    : CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT).build();
    }

    static String answer(String[] f) {
        Map<String, String> context = new HashMap<>();
        for (String pair : f[4].split(",")) {
            context.put(pair.substring(0, pair.indexOf('=')), pair.substring(pair.indexOf('=') + 1));
        }
        S3EncryptionClient client = client(f[1].equals("3"), f[3].equals("yes"));
        if (f[0].equals("put")) {
            client.putObject(b -> b.bucket(bucket).key(f[2])
                .overrideConfiguration(S3EncryptionClient.withAdditionalConfiguration(context)),
                RequestBody.fromBytes(Base64.getDecoder().decode(f[5])));
            return "";
        }
        return Base64.getEncoder().encodeToString(client.getObjectAsBytes(b -> b.bucket(bucket).key(f[2])
            .overrideConfiguration(S3EncryptionClient.withAdditionalConfiguration(context))).asByteArray());
    }

    public static void main(String[] a) throws Exception {
        Region region = Region.of(a[0]);
        KmsClient kms = KmsClient.builder().region(region).endpointOverride(URI.create(a[1])).build();
        URI s3 = URI.create(a[2]);
        plain = S3Client.builder().region(region).endpointOverride(s3).forcePathStyle(true)
            .requestChecksumCalculation(RequestChecksumCalculation.WHEN_REQUIRED)
            .responseChecksumValidation(ResponseChecksumValidation.WHEN_REQUIRED).build();
        async = S3AsyncClient.builder().region(region).endpointOverride(s3).forcePathStyle(true)
            .requestChecksumCalculation(RequestChecksumCalculation.WHEN_REQUIRED)
            .responseChecksumValidation(ResponseChecksumValidation.WHEN_REQUIRED).build();
        keyring = KmsKeyring.builder().kmsClient(kms).wrappingKeyId(a[3]).build();
        bucket = a[4];
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null;) {
            String out;
            try {
                out = answer(line.split("\t", -1));
            } catch (Exception e) {
                out = "refused: " + String.valueOf(e.getMessage()).replace('\n', ' ');
            }
            System.out.println(out);
            System.out.flush();
        }
        System.exit(0);
    }
}
