//! The Vulkan layer: the only place that names `ash`.
