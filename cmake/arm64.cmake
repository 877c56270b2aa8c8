# Toolchain: arm64 from a Debian machine of another architecture. Its multiarch packages
# (tools/packages-arm64.txt) hold the libraries, so that there is no sysroot; qemu-user runs what
# was built. MACH_ARM64_CPU: the processor that it stands for.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)

set(MACH_ARM64_CPU cortex-a76 CACHE STRING "Processor that qemu-aarch64 emulates for the tests")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MACH_ARM64_CPU)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu ${MACH_ARM64_CPU})
