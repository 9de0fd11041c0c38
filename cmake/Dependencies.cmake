# SPDX-License-Identifier: Apache-2.0
# Third-party libraries, all from the distribution but blst (see Blst.cmake).

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(SECP256K1 REQUIRED IMPORTED_TARGET libsecp256k1)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd>=0.9.75)
# GnuTLS comes with libmicrohttpd, and is used for its TLS alone.
pkg_check_modules(GNUTLS REQUIRED IMPORTED_TARGET gnutls)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.88)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd>=1.4)

include(Blst OPTIONAL)

# The imported targets name shared objects by their path, which a static link
# refuses. By name the linker takes what it may: the shared object, or in a
# static-pie link the archive.
foreach(lib SODIUM SECP256K1 OPENSSL JANSSON)
  set_target_properties(PkgConfig::${lib} PROPERTIES
    INTERFACE_LINK_LIBRARIES "${${lib}_LIBRARIES}"
    INTERFACE_LINK_DIRECTORIES "${${lib}_LIBRARY_DIRS}")
endforeach()
