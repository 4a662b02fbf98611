// What the decode kernels share with the host.

#include "coder.glsl"

struct DecodeBlock {
    // First word (32 bits) of the payload.
    uint payload;
    // Bytes of the payload.
    uint coded_size;
    // First word of the raw bytes.
    uint raw;
    // Bytes that the block decodes to.
    uint raw_size;
    uint table_log;
    uint coder;
    // First entry of the block in streams[]: one for each segment, and one.
    uint streams;
};

// Status words: ranvil::BlockFault.
#define FAULT_TABLE 4u
#define FAULT_SEGMENT_SIZES 5u
#define FAULT_STREAM 6u
#define FAULT_FINAL_STATE 7u

#define NO_FAULT 0xffffffffu
