//! Loads Vulkan and holds the instance, with the validation layer if `RANVIL_VALIDATION` asks for it.

use std::{
    ffi::{CStr, c_void},
    sync::{Arc, Mutex, Once, OnceLock, PoisonError},
};

use ash::{ext, khr, vk};

use super::Named;
use crate::error::DeviceError;

/// What the crate asks of the loader and of a device.
pub(super) const API_VERSION: u32 = vk::API_VERSION_1_2;

const VALIDATION_LAYER: &CStr = c"VK_LAYER_KHRONOS_validation";

/// Warnings by which the layer says that a device lets it check less; they are not about this program.
const SETUP_NOTES: [&str; 1] = ["No buffer device address checking will be attempted"];

/// A Vulkan instance.
pub(crate) struct Instance {
    pub raw: ash::Instance,
    validation: Option<Validation>,
}

struct Validation {
    functions: ext::debug_utils::Instance,
    messenger: vk::DebugUtilsMessengerEXT,
    messages: Arc<Messages>,
}

/// Warnings and errors from the validation layer; empty if it is off.
#[derive(Default, Debug)]
pub(crate) struct Messages(Mutex<Vec<String>>);

/// The first messages of all instances of this process, for tests: none may be missed because a caller went on after
/// an error, or came with an instance's end.
static FIRST: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Messages {
    /// The first messages of all instances of this process, at most a hundred.
    pub fn first() -> Vec<String> {
        FIRST.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, text: String) {
        let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
        if first.len() < 100 {
            first.push(text.clone());
        }
        drop(first);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// Fails with the messages since the last call, if there are any.
    pub fn check(&self) -> Result<(), DeviceError> {
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.is_empty() {
            return Ok(());
        }
        Err(DeviceError::Validation(std::mem::take(&mut *messages).join("\n")))
    }
}

/// The loader's functions. Loaded once: drivers do not all survive being unloaded.
pub(super) fn entry() -> Result<&'static ash::Entry, DeviceError> {
    static ENTRY: OnceLock<Result<ash::Entry, String>> = OnceLock::new();
    ENTRY
        .get_or_init(|| {
            // SAFETY: the library that the platform calls the Vulkan loader is trusted to be one, and it stays
            // loaded as long as the process lives.
            unsafe { ash::Entry::load() }.map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(|text| DeviceError::NoLoader(text.clone()))
}

/// Whether `RANVIL_VALIDATION` is one of these. `1` asks for all that the layer can do; `calls` for all but instrumented
/// kernels, which some drivers take minutes to compile.
fn validation_is(levels: &[&str]) -> bool {
    let asked = std::env::var_os("RANVIL_VALIDATION");
    asked.is_some_and(|asked| levels.iter().any(|level| asked == *level))
}

pub(super) fn validation_wanted() -> bool {
    validation_is(&["1", "calls"])
}

impl Instance {
    /// An instance; `None` if a loader is installed but no driver. With `instrumented` validation has an eye on kernels'
    /// accesses.
    pub fn new(instrumented: bool) -> Result<Option<Self>, DeviceError> {
        let entry = entry()?;
        // SAFETY: `entry` holds the loader's functions.
        let version = unsafe { entry.try_enumerate_instance_version() };
        let version = version.named("vkEnumerateInstanceVersion")?.unwrap_or(vk::API_VERSION_1_0);
        if version < API_VERSION {
            return Err(DeviceError::Unsupported {
                device: "the Vulkan loader".to_owned(),
                missing: "Vulkan 1.2".to_owned(),
            });
        }

        let validate = validation_wanted();
        // SAFETY: as above.
        let offered = unsafe { entry.enumerate_instance_extension_properties(None) }
            .named("vkEnumerateInstanceExtensionProperties")?;
        let mut extensions = Vec::new();
        let mut layers = Vec::new();
        let mut flags = vk::InstanceCreateFlags::empty();
        // Lists drivers over other interfaces, such as MoltenVK, too.
        if offers(&offered, khr::portability_enumeration::NAME) {
            extensions.push(khr::portability_enumeration::NAME.as_ptr());
            flags |= vk::InstanceCreateFlags::ENUMERATE_PORTABILITY_KHR;
        }
        if validate {
            require_validation_layer(entry)?;
            layers.push(VALIDATION_LAYER.as_ptr());
            extensions.push(ext::debug_utils::NAME.as_ptr());
            extensions.push(ext::validation_features::NAME.as_ptr());
        }

        let application = vk::ApplicationInfo::default()
            .application_name(c"ranvil")
            .engine_name(c"ranvil")
            .api_version(API_VERSION);
        let enabled = [
            vk::ValidationFeatureEnableEXT::SYNCHRONIZATION_VALIDATION,
            vk::ValidationFeatureEnableEXT::GPU_ASSISTED,
            vk::ValidationFeatureEnableEXT::GPU_ASSISTED_RESERVE_BINDING_SLOT,
        ];
        let instrumented = instrumented && validation_is(&["1"]);
        let enabled = if instrumented { &enabled[..] } else { &enabled[..1] };
        let mut features =
            vk::ValidationFeaturesEXT::default().enabled_validation_features(enabled);
        let mut create = vk::InstanceCreateInfo::default()
            .flags(flags)
            .application_info(&application)
            .enabled_layer_names(&layers)
            .enabled_extension_names(&extensions);
        if validate {
            create = create.push_next(&mut features);
        }
        // SAFETY: all that `create` points to outlives the call; layers and extensions have been enumerated.
        let raw = match unsafe { entry.create_instance(&create, None) } {
            Err(vk::Result::ERROR_INCOMPATIBLE_DRIVER) => return Ok(None),
            created => created.named("vkCreateInstance")?,
        };
        keep_drivers(entry, &application);
        let mut instance = Self { raw, validation: None };
        if validate {
            instance.validation = Some(Validation::new(entry, &instance.raw)?);
        }
        Ok(Some(instance))
    }

    /// Where the validation layer's messages arrive, if it is on.
    pub fn messages(&self) -> Option<&Arc<Messages>> {
        self.validation.as_ref().map(|validation| &validation.messages)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(validation) = &self.validation {
            // SAFETY: created from this instance, and not used again.
            unsafe {
                validation.functions.destroy_debug_utils_messenger(validation.messenger, None);
            }
        }
        // SAFETY: everything created from the instance holds it in an `Arc`, so it is gone by now.
        unsafe { self.raw.destroy_instance(None) };
    }
}

/// Keeps the drivers loaded as long as the process lives, by an instance that is never destroyed: with the last
/// instance the loader unloads them, and NVIDIA's (580) then crashes every thread that has used it when that ends.
fn keep_drivers(entry: &ash::Entry, application: &vk::ApplicationInfo<'_>) {
    static KEPT: Once = Once::new();
    KEPT.call_once(|| {
        let create = vk::InstanceCreateInfo::default().application_info(application);
        // SAFETY: all that `create` points to outlives the call.
        if let Err(error) = unsafe { entry.create_instance(&create, None) } {
            log::debug!("drivers may be unloaded: {error}");
        }
    });
}

fn require_validation_layer(entry: &ash::Entry) -> Result<(), DeviceError> {
    // SAFETY: `entry` holds the loader's functions.
    let layers = unsafe { entry.enumerate_instance_layer_properties() }
        .named("vkEnumerateInstanceLayerProperties")?;
    let found = |layer: &vk::LayerProperties| layer.layer_name_as_c_str() == Ok(VALIDATION_LAYER);
    if layers.iter().any(found) {
        return Ok(());
    }
    Err(DeviceError::Validation(
        "RANVIL_VALIDATION is set but VK_LAYER_KHRONOS_validation is not installed \
         (Debian: vulkan-validationlayers)"
            .to_owned(),
    ))
}

pub(super) fn offers(extensions: &[vk::ExtensionProperties], name: &CStr) -> bool {
    extensions.iter().any(|extension| extension.extension_name_as_c_str() == Ok(name))
}

impl Validation {
    fn new(entry: &ash::Entry, instance: &ash::Instance) -> Result<Self, DeviceError> {
        let functions = ext::debug_utils::Instance::new(entry, instance);
        let messages = Arc::new(Messages::default());
        let create = vk::DebugUtilsMessengerCreateInfoEXT::default()
            .message_severity(
                vk::DebugUtilsMessageSeverityFlagsEXT::WARNING
                    | vk::DebugUtilsMessageSeverityFlagsEXT::ERROR,
            )
            .message_type(
                vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION
                    | vk::DebugUtilsMessageTypeFlagsEXT::PERFORMANCE,
            )
            .pfn_user_callback(Some(on_message))
            .user_data(Arc::as_ptr(&messages).cast_mut().cast());
        // SAFETY: `messages` lives in the value returned and is dropped after the messenger is destroyed.
        let messenger = unsafe { functions.create_debug_utils_messenger(&create, None) }
            .named("vkCreateDebugUtilsMessengerEXT")?;
        Ok(Self { functions, messenger, messages })
    }
}

unsafe extern "system" fn on_message(
    _severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    _kind: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    user: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: Vulkan passes a valid structure whose message is a C string, and the user data that the messenger
    // was created with: a `Messages` that outlives it and is shared by reference only.
    let (message, messages) = unsafe {
        (
            CStr::from_ptr((*data).p_message).to_string_lossy().into_owned(),
            &*user.cast::<Messages>(),
        )
    };
    if SETUP_NOTES.iter().any(|note| message.contains(note)) {
        log::info!("Vulkan validation: {message}");
    } else {
        log::error!("Vulkan validation: {message}");
        messages.add(message);
    }
    vk::FALSE
}
