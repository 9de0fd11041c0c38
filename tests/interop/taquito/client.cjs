// SPDX-License-Identifier: Apache-2.0
// Taquito's remote signer as its users call it: one JSON line in, one out.
// NODE_PATH leads to where npm installed it.
const { RemoteSigner } = require("@taquito/remote-signer");
const { verifySignature } = require("@taquito/utils");

async function perform(job) {
  const signer = new RemoteSigner(job.pkh, job.url, { headers: job.headers });
  const out = { publicKeyHash: await signer.publicKeyHash(), publicKey: await signer.publicKey() };
  if (job.bytes) {
    const watermark = Uint8Array.from(job.watermark);
    const signed = await signer.sign(job.bytes, watermark);
    out.signed = signed;
    if (job.verify) {
      out.verified = verifySignature(job.bytes, out.publicKey, signed.prefixSig, watermark);
    }
  }
  return out;
}

let input = "";
process.stdin.on("data", (data) => (input += data));
process.stdin.on("end", async () => {
  const results = [];
  for (const job of JSON.parse(input)) {
    try {
      results.push(await perform(job));
    } catch (e) {
      results.push({ error: e.name, status: e.status, body: e.body });
    }
  }
  process.stdout.write(JSON.stringify(results));
});
