// SPDX-License-Identifier: Apache-2.0
// Made the aws-*.eif beside it, and aws-answers.json, with AWS's own library
// (crate aws-nitro-enclaves-image-format 0.5.0, what nitro-cli uses). It is not
// part of any build: "cargo build" in this folder makes it.
// Pins that its dependencies need at this age: aws-smithy-runtime-api
// 1.7.3, aws-credential-types 1.1.8, aws-sigv4 1.2.0.
use aws_nitro_enclaves_image_format::defs::{EifBuildInfo, EifIdentityInfo, EIF_HDR_ARCH_ARM64};
use aws_nitro_enclaves_image_format::utils::eif_reader::EifReader;
use aws_nitro_enclaves_image_format::utils::{identity, EifBuilder, EifSigner, SignKeyData, PcrSignatureChecker};
use sha2::{Digest, Sha384};
use std::fs::OpenOptions;
use std::path::Path;

// build OUT KERNEL CONFIG CMDLINE ARCH NAME VERSION EPOCH CERT|- KEY|- META|- RAMDISK...
fn build(a: &[String]) {
    let sign = if a[8] != "-" { Some(SignKeyData::new(&a[9], Path::new(&a[8])).unwrap()) } else { None };
    let when = chrono::DateTime::from_timestamp(a[7].parse().unwrap(), 0).unwrap();
    let info: EifBuildInfo = identity::generate_build_info("nitro-cli", "1.4.2", &a[2], Some(when)).unwrap();
    let meta = EifIdentityInfo {
        img_name: a[5].clone(), img_version: a[6].clone(), build_info: info,
        docker_info: serde_json::Value::Null,
        custom_info: if a[10] != "-" { identity::parse_custom_metadata(&a[10]).unwrap() } else { serde_json::Value::Null },
    };
    let flags = if a[4] == "aarch64" { EIF_HDR_ARCH_ARM64 } else { 0 };
    let mut b = EifBuilder::new(Path::new(&a[1]), a[3].clone(), sign, Sha384::new(), flags, meta);
    for r in &a[11..] { b.add_ramdisk(Path::new(r)); }
    let mut f = OpenOptions::new().read(true).create(true).write(true).truncate(true).open(&a[0]).unwrap();
    let m = b.write_to(&mut f);
    println!("{}", serde_json::to_string_pretty(&m).unwrap());
}

fn describe(path: &str) {
    let mut r = EifReader::from_eif(path.to_string()).unwrap();
    let m = r.get_measurements().unwrap();
    let mut o = serde_json::Map::new();
    o.insert("EifVersion".into(), r.get_header().version.into());
    o.insert("Measurements".into(), serde_json::to_value(&m).unwrap());
    o.insert("CheckCRC".into(), r.check_crc().into());
    o.insert("IsSigned".into(), r.signature_section.is_some().into());
    if r.signature_section.is_some() {
        let c = r.get_certificate_info(m).unwrap();
        o.insert("SigningCertificate".into(), serde_json::to_value(&c).unwrap());
        o.insert("SignatureCheck".into(), r.sign_check.unwrap().into());
        let mut k = PcrSignatureChecker::from_eif(path).unwrap();
        o.insert("Checker".into(), match k.verify() { Ok(()) => "ok".into(), Err(e) => e.into() });
    }
    o.insert("Metadata".into(), serde_json::to_value(&r.get_metadata()).unwrap());
    println!("{}", serde_json::to_string_pretty(&o).unwrap());
}

fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    match a[0].as_str() {
        "build" => build(&a[1..]),
        "describe" => describe(&a[1]),
        "sign" => EifSigner::new(Some(SignKeyData::new(&a[3], Path::new(&a[2])).unwrap())).unwrap().sign_image(&a[1]).unwrap(),
        _ => panic!("usage"),
    }
}
