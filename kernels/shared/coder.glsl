// ranvil::block::Coder.
#define CODER_RANS 0u
#define CODER_FSE 1u
#define CODER_HUFFMAN 2u
