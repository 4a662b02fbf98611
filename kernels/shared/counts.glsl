// Counts of a block's symbols. The includer has histograms[] of histogram.comp, and in each of its 64 invocations four
// symbols.

// The counts of this invocation's symbols.
uint[4] symbol_counts(EncodeBlock block) {
    uint h[4] = uint[4](0u, 0u, 0u, 0u);
    for (uint chunk = 0u; chunk < chunk_count(block); chunk++) {
        uint at = 256u * (block.chunk + chunk) + 4u * gl_LocalInvocationIndex;
        [[unroll]] for (uint i = 0u; i < 4u; i++) h[i] += histograms[at + i];
    }
    return h;
}
