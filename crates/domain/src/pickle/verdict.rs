//! What an import means: known constructors, known dangers, everything else.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Problem, version::words};

words! {
    /// What something in a pickle means.
    #[derive(PartialOrd, Ord)]
    Verdict, "verdict" {
        /// Known to do nothing but make an object.
        Safe = "safe",
        /// Nothing is known of it.
        Unknown = "unknown",
        /// It runs whatever its author likes, or hides what it does.
        Dangerous = "dangerous",
    }
}

/// Modules of which anything runs code, or reaches the machine or the network.
const DANGEROUS_MODULES: &str = "
    os posix nt ntpath posixpath sys subprocess _posixsubprocess commands popen2 pty socket
    _socket socketserver ssl http urllib urllib2 httplib requests aiohttp ftplib smtplib
    telnetlib poplib imaplib xmlrpc webbrowser importlib imp _imp runpy pkgutil zipimport code
    codeop bdb pdb _pdb cProfile profile trace timeit doctest idlelib pydoc asyncio _asyncio
    multiprocessing _multiprocessing concurrent threading _thread ctypes _ctypes cffi mmap
    shutil tempfile glob fileinput linecache io _io signal resource pip ensurepip venv
    setuptools distutils _distutils_hack pkg_resources site sitecustomize pickle _pickle cPickle
    dill marshal shelve types gc inspect ast dis sysconfig lib2to3 unittest test nturl2path
    numpy.testing numpy.f2py numpy.distutils torch.hub torch.serialization
    torch.utils.cpp_extension torch.utils.bottleneck torch._inductor torch._dynamo torch.jit
    torch.utils.data.datapipes torch.utils.model_zoo torch.utils.collect_env
    torch.distributed.run sklearn.externals sklearn.datasets sklearn.utils._testing
    sklearn.utils.estimator_checks sklearn.tests scipy.io pandas.io pandas.core.computation
    pandas.eval pandas.read_pickle joblib.load joblib.parallel joblib.memory joblib.externals
    torch.load torch.ops torch.classes torch._C numpy.load numpy.lib.npyio numpy.lib._npyio_impl
    numpy.DataSource numpy.fromfile numpy.memmap numpy.core.memmap numpy._core.memmap IPython
    jupyter tensorflow.io keras.utils mlflow logging.config sqlite3 readline rlcompleter uu
    cgitb compileall py_compile modulefinder xml nntplib crypt fcntl termios pwd
    _osx_support _aix_support _pyrepl torch.fx torch.package sklearn.callback
    sklearn.utils.parallel sklearn.utils._available_if xgboost.sklearn.ThreadPoolExecutor
    keras.src.utils keras.models.load_model keras.saving.load_model
";

/// Names in Python's own namespace, under all its names.
const BUILTINS: &str = "builtins __builtin__ __builtins__";
const SAFE_BUILTINS: &str = "
    object int float complex bool str bytes bytearray list tuple dict set frozenset slice range
    long unicode xrange Ellipsis NotImplemented NoneType
";
const DANGEROUS_BUILTINS: &str = "
    eval exec execfile compile open file input raw_input getattr setattr delattr hasattr globals
    locals vars dir __import__ breakpoint apply map filter reload memoryview help type super
    classmethod property print iter next exit quit __build_class__
";

/// Functions that call what they are given, or fetch attributes by name.
const DANGEROUS: &str = "
    operator.attrgetter operator.methodcaller operator.call _operator.attrgetter
    _operator.methodcaller _operator.call functools.reduce functools.partial _functools.reduce
    _functools.partial itertools.starmap logging.FileHandler codecs.open copyreg.add_extension
    copy_reg.add_extension copyreg.pickle weakref.finalize atexit.register contextlib.ExitStack
    collections.namedtuple torch.load torch.save joblib.load joblib.dump cloudpickle.load
    cloudpickle.loads cloudpickle.cloudpickle._make_function
    cloudpickle.cloudpickle._builtin_type cloudpickle.cloudpickle.subimport
    cloudpickle.cloudpickle._function_setstate cloudpickle.cloudpickle.dynamic_subimport
    cloudpickle.cloudpickle._make_skeleton_class
";

/// Constructors that only make objects.
const SAFE: &str = "
    copyreg._reconstructor copyreg.__newobj__ copyreg.__newobj_ex__ copy_reg._reconstructor
    _codecs.encode collections.OrderedDict collections.defaultdict collections.deque
    collections.Counter datetime.datetime datetime.date datetime.time datetime.timedelta
    datetime.timezone decimal.Decimal fractions.Fraction uuid.UUID array._array_reconstructor
    array.array numpy.ndarray numpy.dtype numpy.matrix numpy.recarray
    numpy.core.multiarray._reconstruct numpy._core.multiarray._reconstruct
    numpy.core.multiarray.scalar numpy._core.multiarray.scalar numpy.core.numeric._frombuffer
    numpy._core.numeric._frombuffer numpy.ma.core._mareconstruct numpy.ma.core.MaskedArray
    numpy.ma.MaskedArray numpy.random._pickle.__randomstate_ctor
    numpy.random._pickle.__generator_ctor numpy.random._pickle.__bit_generator_ctor
    numpy.random._mt19937.MT19937 numpy.random._pcg64.PCG64 numpy.random.mtrand.RandomState
    numpy.bool_ numpy.bool numpy.int8 numpy.int16 numpy.int32 numpy.int64 numpy.uint8
    numpy.uint16 numpy.uint32 numpy.uint64 numpy.float16 numpy.float32 numpy.float64
    numpy.complex64 numpy.complex128 numpy.str_ numpy.bytes_ numpy.object_
    joblib.numpy_pickle.NumpyArrayWrapper sklearn.metrics._dist_metrics.newObj
    sklearn.neighbors._dist_metrics.newObj sklearn.neighbors._kd_tree.newObj
    sklearn.neighbors._ball_tree.newObj pandas._libs.internals._unpickle_block
    pandas.core.indexes.base._new_Index pandas._libs.arrays.__pyx_unpickle_NDArrayBacked
    pandas.core.indexes.datetimes._new_DatetimeIndex pandas.DataFrame pandas.Series pandas.Index
    pandas.RangeIndex pandas.MultiIndex pandas.DatetimeIndex pandas.CategoricalDtype
    pandas.Categorical pandas.StringDtype pyarrow.lib._restore_array pyarrow.lib.type_for_alias
    pyarrow.lib.py_buffer scipy.sparse._csr.csr_matrix scipy.sparse._csc.csc_matrix
    scipy.sparse._coo.coo_matrix scipy.sparse.csr.csr_matrix scipy.sparse.csc.csc_matrix
    scipy.sparse._csr.csr_array scipy.sparse._csc.csc_array
    scipy.interpolate._interpolate.interp1d torch._utils._rebuild_tensor
    torch._utils._rebuild_tensor_v2 torch._utils._rebuild_parameter torch.Size torch.Tensor
    torch.device torch.nn.parameter.Parameter torch.FloatStorage torch.DoubleStorage
    torch.HalfStorage torch.BFloat16Storage torch.LongStorage torch.IntStorage
    torch.ShortStorage torch.CharStorage torch.ByteStorage torch.BoolStorage torch.float32
    torch.float64 torch.float16 torch.bfloat16 torch.int64 torch.int32 torch.int16 torch.int8
    torch.uint8 torch.bool xgboost.core.Booster lightgbm.basic.Booster
    catboost.core.CatBoostClassifier catboost.core.CatBoostRegressor
";

/// Packages whose classes only make objects; not so their functions.
const SAFE_CLASSES: &str = "
    sklearn xgboost.sklearn lightgbm.sklearn torch.nn.modules pandas.core pandas.arrays
    pandas._libs.tslibs imblearn
";

/// What an import means, and why unless it is safe. A dotted name reaches through attributes.
#[must_use]
pub fn judge(module: &str, name: &str) -> (Verdict, Option<&'static str>) {
    let whole = format!("{module}.{name}");
    if holds(BUILTINS, module) && holds(SAFE_BUILTINS, name) || holds(SAFE, &whole) {
        return (Verdict::Safe, None);
    }
    if holds(BUILTINS, module) && holds(DANGEROUS_BUILTINS, name) {
        return (Verdict::Dangerous, Some("it runs code, opens files or fetches things by name"));
    }
    if DANGEROUS_MODULES.split_whitespace().any(|dangerous| is_within(&whole, dangerous)) {
        return (
            Verdict::Dangerous,
            Some("its module runs code or reaches the machine or the network"),
        );
    }
    if holds(DANGEROUS, &whole) {
        return (Verdict::Dangerous, Some("it calls what it is given, or makes code of it"));
    }
    if whole.split('.').skip(1).any(is_way_out) {
        return (Verdict::Dangerous, Some("it reaches through one module into another"));
    }
    let is_class =
        name.trim_start_matches('_').starts_with(|first: char| first.is_ascii_uppercase());
    let is_made = is_class || name.starts_with("__pyx_unpickle_");
    let is_plain = !name.contains('.');
    if is_plain
        && is_made
        && SAFE_CLASSES.split_whitespace().any(|package| is_within(module, package))
    {
        return (Verdict::Safe, None);
    }
    (Verdict::Unknown, Some("nothing is known of it"))
}

/// Whether a word is among these.
fn holds(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|known| known == word)
}

/// Whether a path is this one, or leads on from it.
fn is_within(path: &str, package: &str) -> bool {
    path.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Attributes by which modules and functions lead to everything else.
fn is_way_out(part: &str) -> bool {
    const MODULES: &[&str] = &[
        "os",
        "sys",
        "subprocess",
        "builtins",
        "posix",
        "importlib",
        "ctypes",
        "socket",
        "shutil",
        "pickle",
    ];
    const ATTRIBUTES: &[&str] = &[
        "__globals__",
        "__builtins__",
        "__dict__",
        "__class__",
        "__base__",
        "__bases__",
        "__mro__",
        "__subclasses__",
        "__import__",
        "__call__",
        "__loader__",
        "__spec__",
        "__getattribute__",
        "__getattr__",
        "__code__",
        "__closure__",
        "__func__",
        "__self__",
        "__init__",
        "__reduce__",
        "__reduce_ex__",
        "system",
        "popen",
        "eval",
        "exec",
    ];
    MODULES.contains(&part) || ATTRIBUTES.contains(&part)
}
