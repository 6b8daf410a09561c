//! Pickles written by hand, one for each trick.

use std::io::{BufReader, Read};

use proptest::prelude::*;

use super::*;

fn scanned(bytes: &[u8]) -> Report {
    scan(bytes, Layout::Plain).unwrap().report
}

fn verdict_of(report: &Report, name: &str) -> Option<Verdict> {
    report.imports.iter().find(|import| import.name == name).map(|import| import.verdict)
}

fn short(text: &str) -> Vec<u8> {
    [&[0x8c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A pickle of protocol 4 that imports by names on the stack.
fn stack_global(module: &[u8], name: &[u8]) -> Vec<u8> {
    [b"\x80\x04".as_slice(), module, name, b"\x93."].concat()
}

#[test]
fn plain_values_are_safe() {
    // {'a': [1, 2.5, None, True, b'x', (1, 2)]}
    let report = scanned(b"\x80\x04}\x94\x8c\x01a\x94]\x94(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88C\x01x\x94K\x01K\x02\x86\x94es.");
    assert_eq!(report, Report::default());
    assert_eq!(report.verdict(), Verdict::Safe);
}

#[test]
fn every_way_to_import_is_seen() {
    let called: &[&[u8]] = &[
        b"cos\nsystem\n(S'id'\ntR.",
        b"(S'id'\nios\nsystem\n.",
        b"(cos\nsystem\nS'id'\no.",
        b"\x80\x02cos\nsystem\n\x8c\x02id\x85\x81.",
        b"\x80\x04cos\nsystem\n\x8c\x02id\x85}\x92.",
    ];
    for pickle in called {
        let report = scanned(pickle);
        assert_eq!(verdict_of(&report, "os.system"), Some(Verdict::Dangerous), "{report:?}");
        assert!(report.imports[0].called, "{report:?}");
    }
    let texts: &[&[u8]] = &[
        &short("os"),
        b"X\x02\x00\x00\x00os",
        b"\x8d\x02\x00\x00\x00\x00\x00\x00\x00os",
        b"Vos\n",
        b"S'os'\n",
        b"S\"os\"\n",
        b"U\x02os",
        b"T\x02\x00\x00\x00os",
        // By way of the memo, of a copy, and past a value that is thrown away.
        b"\x8c\x02os\x940h\x00",
        b"\x8c\x02osp5\n0g5\n",
        b"\x8c\x02osr\x07\x00\x00\x000j\x07\x00\x00\x00",
        b"\x8c\x02os20",
        b"\x8c\x02os(K\x01K\x021",
        b"\x8c\x02os(0",
    ];
    for text in texts {
        let report = scanned(&stack_global(text, &short("system")));
        assert_eq!(
            verdict_of(&report, "os.system"),
            Some(Verdict::Dangerous),
            "{text:?} {report:?}"
        );
    }
}

#[test]
fn a_name_put_together_while_loading_is_dangerous() {
    for module in [b"Vo\\u0073\n".as_slice(), b"S'o\\x73'\n", b"cbuiltins\nstr\n)R", b"C\x02os"] {
        let report = scanned(&stack_global(module, &short("system")));
        assert_eq!(report.verdict(), Verdict::Dangerous, "{report:?}");
    }
    let long = [b"c".as_slice(), &[b'a'; 300], b"\nsystem\n."].concat();
    assert_eq!(scanned(&long).verdict(), Verdict::Dangerous);
}

#[test]
fn known_detours_are_dangerous() {
    for (module, name) in [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("__builtin__", "exec"),
        ("builtins", "int.__class__.__base__.__subclasses__"),
        ("pip", "main"),
        ("pip._internal.cli.main", "main"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy.f2py.crackfortran", "getlincoef"),
        ("bdb", "Bdb.run"),
        ("asyncio.unix_events", "_UnixSubprocessTransport._start"),
        ("importlib", "import_module"),
        ("runpy", "run_path"),
        ("subprocess", "Popen"),
        ("socket", "create_connection"),
        ("operator", "attrgetter"),
        ("functools", "partial"),
        ("types", "CodeType"),
        ("cloudpickle.cloudpickle", "_make_function"),
        ("sklearn.linear_model", "os.system"),
        ("logging", "sys.modules"),
        ("numpy", "core._internal.ctypes"),
        ("pickle", "loads"),
        ("joblib", "load"),
        ("pandas.io.pickle", "read_pickle"),
        // Classes of others that a known library has under names of its own.
        ("sklearn.callback._transport", "Client"),
        ("sklearn.utils._available_if", "MethodType"),
        ("xgboost.sklearn", "ThreadPoolExecutor"),
        ("_pyrepl.pager", "pipe_pager"),
        ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression"),
    ] {
        let (verdict, reason) = judge(module, name);
        assert_eq!(verdict, Verdict::Dangerous, "{module}.{name}");
        assert!(reason.is_some());
    }
}

#[test]
fn constructors_of_known_libraries_are_safe_and_strangers_are_unknown() {
    for (module, name) in [
        ("sklearn.ensemble._forest", "RandomForestClassifier"),
        ("sklearn.tree._tree", "Tree"),
        ("sklearn._loss._loss", "__pyx_unpickle_CyHalfBinomialLoss"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("pandas.core.frame", "DataFrame"),
        ("collections", "OrderedDict"),
        ("builtins", "set"),
    ] {
        assert_eq!(judge(module, name).0, Verdict::Safe, "{module}.{name}");
    }
    for (module, name) in [
        ("ours.features", "Scaler"),
        ("sklearn.utils", "shuffle"),
        ("sklearnx", "Evil"),
        ("osmium", "x"),
    ] {
        assert_eq!(judge(module, name).0, Verdict::Unknown, "{module}.{name}");
    }
}

#[test]
fn extension_codes_and_persistent_ids_are_noted() {
    for code in [
        b"\x80\x02\x82\x07.".as_slice(),
        b"\x80\x02\x83\x07\x00.",
        b"\x80\x02\x84\x07\x00\x00\x00.",
    ] {
        let report = scanned(code);
        assert_eq!(report.verdict(), Verdict::Dangerous);
        assert!(report.notes[0].text.contains("extension code 7"), "{report:?}");
    }
    assert_eq!(scanned(b"Pthing\n.").verdict(), Verdict::Unknown);
    assert_eq!(scanned(b"K\x01Q.").verdict(), Verdict::Unknown);
}

#[test]
fn torchs_tensors_are_no_strangers_and_end_an_old_file() {
    let storage = b"(\x8c\x07storage\x8c\x010tQ.".as_slice();
    let verdict = |bytes: &[u8], layout| scan(bytes, layout).unwrap().report.verdict();
    assert_eq!(verdict(storage, Layout::Plain), Verdict::Unknown);
    assert_eq!(verdict(storage, Layout::Torch), Verdict::Safe);
    assert_eq!(verdict(b"\x8c\x06module\x85Q.", Layout::Torch), Verdict::Unknown);
    assert_eq!(verdict(b"Pthing\n.", Layout::Torch), Verdict::Unknown);
    let old = [b"N.N.N.", storage, b"].\xff\xff\xff"].concat();
    assert_eq!(verdict(&old, Layout::OldTorch), Verdict::Safe);
    assert_eq!(verdict(&old, Layout::Torch), Verdict::Unknown);
}

#[test]
fn a_walk_ends_where_loaders_do_or_says_that_they_may_go_on() {
    let ended = |bytes: &[u8]| scan(bytes, Layout::Plain).unwrap().ended;
    assert_eq!(ended(b"N."), Ended::Whole);
    for broken in [b"N".as_slice(), b"\xff", b"t", b"g0\n.", b"Npx\n.", b"T\xff\xff\xff\xff"] {
        assert_eq!(ended(broken), Ended::Broken, "{broken:?}");
    }
    // As Python reads numbers.
    assert_eq!(ended(b"Np 1_0 \n0g10\n."), Ended::Whole);
    for lost in [b"Nr\xff\xff\xff\xff.".as_slice(), b"Np99999999999999999999\n."] {
        assert_eq!(ended(lost), Ended::Lost, "{lost:?}");
    }
    let deep = BufReader::new(std::io::repeat(b'(').take(5 << 20));
    assert_eq!(scan(deep, Layout::Plain).unwrap().ended, Ended::Lost);
}

#[test]
fn what_is_too_much_to_be_listed_still_counts() {
    let mut all = named("builtins", "set");
    for number in 0..2 * MOST {
        all.merge(named("ours", &format!("Scaler{number}")));
    }
    assert!(all.imports.len() <= MOST);
    all.merge(named("os", "system"));
    assert_eq!(all.verdict(), Verdict::Dangerous);
    for number in 0..2 * MOST {
        all.note(Verdict::Unknown, number.to_string());
    }
    assert!(all.notes.len() <= MOST);
}

#[test]
fn changing_what_was_imported_is_dangerous() {
    let report = scanned(b"csklearn.base\nBaseEstimator\n}b.");
    assert_eq!(report.verdict(), Verdict::Dangerous);
}

#[test]
fn what_stands_before_a_broken_place_counts() {
    let report = scanned(b"cos\nsystem\n(S'id'\ntR\xff");
    assert_eq!(verdict_of(&report, "os.system"), Some(Verdict::Dangerous));
    assert!(report.notes.iter().any(|note| note.text.contains("0xff")), "{report:?}");
}

#[test]
fn a_second_pickle_behind_the_first_is_walked() {
    let report = scanned(b"N.cos\nsystem\n.");
    assert_eq!(verdict_of(&report, "os.system"), Some(Verdict::Dangerous));
    let report = scanned(b"N.\xff\xff");
    assert_eq!(
        report.verdict(),
        Verdict::Unknown,
        "what is no pickle behind one is noted: {report:?}"
    );
}

#[test]
fn nothing_and_what_is_cut_short_are_findings() {
    let whole = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94C\x03xyz\x94s.";
    for length in 0..whole.len() {
        assert_eq!(scanned(&whole[..length]).verdict(), Verdict::Unknown, "{length}");
    }
    assert_eq!(scanned(whole).verdict(), Verdict::Safe);
}

/// As joblib writes an array: its description, then its bytes.
fn joblib_array(dtype: &str, content: &[u8]) -> Vec<u8> {
    let wrapper = [short("joblib.numpy_pickle"), short("NumpyArrayWrapper")].concat();
    let element =
        [&short("numpy"), &short("dtype"), b"\x93".as_slice(), &short(dtype), b"\x89\x88\x87R"]
            .concat();
    let state = [
        b"}(".as_slice(),
        &[short("shape"), b"K\x03\x85".to_vec()].concat(),
        &[short("dtype"), element].concat(),
        &short("numpy_array_alignment_bytes"),
        b"K\x10ub",
    ]
    .concat();
    [b"\x80\x04]".as_slice(), &wrapper, b"\x93)\x81", &state, content, b"a."].concat()
}

#[test]
fn bytes_of_joblibs_arrays_are_no_instructions() {
    let doubles = [b"\x02\xff\xff".as_slice(), &[0xff; 24]].concat();
    let report = scanned(&joblib_array("f8", &doubles));
    assert_eq!(report.verdict(), Verdict::Safe, "{report:?}");
    let report = scanned(&joblib_array("O8", b"\x80\x04cos\nsystem\n."));
    assert_eq!(verdict_of(&report, "os.system"), Some(Verdict::Dangerous));
    let report = scanned(&joblib_array("Q9", &doubles));
    assert_eq!(report.verdict(), Verdict::Unknown, "{report:?}");
}

#[test]
fn joblibs_mark_made_on_a_detour_is_dangerous() {
    let detour = b"\x80\x02ccopyreg\n__newobj__\ncjoblib.numpy_pickle\nNumpyArrayWrapper\n\x85R.";
    assert_eq!(scanned(detour).verdict(), Verdict::Dangerous);
}

#[test]
fn hostile_lengths_cost_nothing() {
    for pickle in [
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff".as_slice(),
        b"\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"X\xff\xff\xff\xff",
        b"T\xff\xff\xff\xff",
        b"Nr\xff\xff\xff\xff.",
        b"Np99999999999999999999\n.",
    ] {
        assert_eq!(scanned(pickle).verdict(), Verdict::Unknown);
    }
}

#[test]
fn endless_files_end() {
    for (byte, most) in [(b'(', 5 << 20), (b'N', 5 << 20), (b')', 5 << 20)] {
        let endless = BufReader::new(std::io::repeat(byte).take(most));
        assert_eq!(scan(endless, Layout::Plain).unwrap().report.verdict(), Verdict::Unknown);
    }
    // Tuples within tuples, deeper than any call may go.
    let deep =
        BufReader::new(b"N".chain(std::io::repeat(0x85).take(1 << 20)).chain(b".".as_slice()));
    assert_eq!(scan(deep, Layout::Plain).unwrap().report.verdict(), Verdict::Safe);
}

proptest! {
    #[test]
    fn any_bytes_are_walked(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        scanned(&bytes);
    }

    #[test]
    fn any_instructions_are_walked(
        codes in proptest::collection::vec(proptest::sample::select(
            b"(.012FIJKLMNPQRSTUVXabcd}eghijl]opqrst)uGBC\x80\x81\x82\x85\x86\x87\x88\x8a\x8c\x8f\x90\x91\x92\x93\x94\x95\x97\x98\x01\x00\n".to_vec()
        ), 0..200),
    ) {
        scanned(&codes);
    }
}
