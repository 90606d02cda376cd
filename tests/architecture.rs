//! The imports of the code are those that `ARCHITECTURE.md` lists, and no modules import each other in a cycle.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, UseTree, Visibility};

/// `campaigns::store::held` as its segments. Empty for the crate itself.
type ModulePath = Vec<String>;

/// All modules, and which of them imports which.
struct Crate {
    modules: BTreeMap<ModulePath, Module>,
    imports: BTreeSet<(ModulePath, ModulePath)>,
}

#[derive(Default)]
struct Module {
    /// Absolute paths, from `use` declarations and from paths in the code.
    references: BTreeSet<ModulePath>,
    /// The names that the module re-exports, and what each one stands for.
    reexports: BTreeMap<String, ModulePath>,
}

impl Crate {
    fn read(source: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect_files(source, &mut Vec::new(), &mut files);
        let names: BTreeSet<ModulePath> = files.keys().cloned().collect();
        let modules = files.into_iter().map(|(path, text)| {
            let mut reader = Reader { path: &path, names: &names, module: Module::default() };
            reader.visit_file(&syn::parse_file(&text).unwrap_or_else(|error| panic!("{path:?}: {error}")));
            let module = reader.module;
            (path, module)
        });
        let mut code = Self { modules: modules.collect(), imports: BTreeSet::new() };
        let pairs = |(path, module): (&ModulePath, &Module)| {
            let targets = module.references.iter().map(|reference| code.defining_module(reference));
            targets.map(|target| (path.clone(), target)).collect::<Vec<_>>()
        };
        let imports = code.modules.iter().flat_map(pairs).collect();
        code.imports = imports;
        code
    }

    /// The module that defines what a path names. Follows re-exports.
    fn defining_module(&self, path: &[String]) -> ModulePath {
        let mut module = Vec::new();
        for (index, name) in path.iter().enumerate() {
            let child: ModulePath = module.iter().chain([name]).cloned().collect();
            if self.modules.contains_key(&child) {
                module = child;
            } else if let Some(target) = self.modules.get(&module).and_then(|module| module.reexports.get(name)) {
                let rest = target.iter().chain(&path[index + 1..]).cloned().collect::<Vec<_>>();
                return self.defining_module(&rest);
            } else {
                break;
            }
        }
        module
    }

    /// Which children of a module import which of their siblings.
    fn imports_between_children(&self, parent: &[String]) -> BTreeMap<String, BTreeSet<String>> {
        let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
        for (from, to) in &self.imports {
            if is_below(from, parent) && is_below(to, parent) && from[parent.len()] != to[parent.len()] {
                imports.entry(from[parent.len()].clone()).or_default().insert(to[parent.len()].clone());
            }
        }
        imports
    }
}

fn is_below(path: &[String], parent: &[String]) -> bool {
    path.len() > parent.len() && path.starts_with(parent)
}

/// Reads the sources of all modules that are not tests.
fn collect_files(directory: &Path, module: &mut ModulePath, files: &mut BTreeMap<ModulePath, String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let stem = name.trim_end_matches(".rs");
        if stem == "tests" || stem.ends_with("_test") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            module.push(name);
            collect_files(&entry.path(), module, files);
            module.pop();
        } else if name != stem {
            let mut path = module.clone();
            if !["mod", "lib", "main"].contains(&stem) {
                path.push(stem.to_owned());
            }
            if name != "main.rs" {
                files.insert(path, fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
}

struct Reader<'a> {
    path: &'a ModulePath,
    names: &'a BTreeSet<ModulePath>,
    module: Module,
}

impl Reader<'_> {
    /// The absolute form of a path in this crate. None for a path in another one.
    fn absolute(&self, path: &[String]) -> Option<ModulePath> {
        let mut base = self.path.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (base, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                let child: ModulePath = base.iter().map(String::as_str).chain([child]).map(Into::into).collect();
                self.names.contains(&child).then_some(())?;
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    fn read_use(&mut self, tree: &UseTree, prefix: &mut Vec<String>, is_reexport: bool) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.read_use(&path.tree, prefix, is_reexport);
                prefix.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.read_use(item, prefix, is_reexport)),
            UseTree::Name(name) => self.add_use(&name.ident.to_string(), None, prefix, is_reexport),
            UseTree::Rename(name) => {
                self.add_use(&name.ident.to_string(), Some(name.rename.to_string()), prefix, is_reexport);
            }
            UseTree::Glob(_) => self.module.references.extend(self.absolute(prefix)),
        }
    }

    fn add_use(&mut self, name: &str, rename: Option<String>, prefix: &[String], is_reexport: bool) {
        let mut path = prefix.to_vec();
        if name != "self" {
            path.push(name.to_owned());
        }
        let Some(target) = self.absolute(&path) else { return };
        if is_reexport {
            self.module.reexports.insert(rename.unwrap_or_else(|| name.to_owned()), target.clone());
        }
        self.module.references.insert(target);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_for_tests(&item.attrs) {
            let is_reexport = !matches!(item.vis, Visibility::Inherited) || self.is_folder();
            self.read_use(&item.tree, &mut Vec::new(), is_reexport);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.module.references.extend(self.absolute(&names));
        }
        visit::visit_path(self, path);
    }
}

impl Reader<'_> {
    /// Children of a folder see also what its `mod.rs` imports privately.
    fn is_folder(&self) -> bool {
        self.names.iter().any(|name| is_below(name, self.path))
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

/// A cycle in a graph, as the names on it, if there is one.
fn find_cycle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        name: &str,
        imports: &BTreeMap<String, BTreeSet<String>>,
        trail: &mut Vec<String>,
        finished: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = trail.iter().position(|earlier| earlier == name) {
            return Some(trail[start..].iter().cloned().chain([name.to_owned()]).collect());
        }
        if finished.contains(name) {
            return None;
        }
        trail.push(name.to_owned());
        let cycle = imports.get(name).into_iter().flatten().find_map(|next| visit(next, imports, trail, finished));
        trail.pop();
        finished.insert(name.to_owned());
        cycle
    }
    let mut finished = BTreeSet::new();
    imports.keys().find_map(|name| visit(name, imports, &mut Vec::new(), &mut finished))
}

static CODE: LazyLock<Crate> = LazyLock::new(|| Crate::read(&root().join("src")));

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The block of lines `module, module → module, module` in `ARCHITECTURE.md`.
fn listed_imports() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut listed = BTreeMap::<String, BTreeSet<String>>::new();
    for (modules, imports) in text.lines().filter_map(|line| line.split_once(" → ")) {
        for module in modules.split(", ").map(str::trim).filter(|module| is_name(module)) {
            let imports = imports.split(", ").map(str::trim).filter(|name| is_name(name) && *name != "nothing");
            listed.entry(module.to_owned()).or_default().extend(imports.map(str::to_owned));
        }
    }
    listed
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[test]
fn modules_import_exactly_what_architecture_lists() {
    let actual = CODE.imports_between_children(&[]);
    let listed = listed_imports();
    let mut faults = Vec::new();
    let none = BTreeSet::new();
    for module in actual.keys().chain(listed.keys()).collect::<BTreeSet<_>>() {
        let (actual, listed) = (actual.get(module).unwrap_or(&none), listed.get(module).unwrap_or(&none));
        faults.extend(actual.difference(listed).map(|name| format!("{module} imports {name}, which is not listed")));
        faults.extend(listed.difference(actual).map(|name| format!("{module} does not import {name}: remove it")));
    }
    assert!(faults.is_empty(), "ARCHITECTURE.md, Imports:\n{}", faults.join("\n"));
}

#[test]
fn no_modules_import_each_other_in_a_cycle() {
    let mut cycles = Vec::new();
    for parent in CODE.modules.keys() {
        if let Some(cycle) = find_cycle(&CODE.imports_between_children(parent)) {
            cycles.push(format!("src/{}: {}", parent.join("/"), cycle.join(" → ")));
        }
    }
    assert!(cycles.is_empty(), "{}", cycles.join("\n"));
}

#[test]
fn a_cycle_is_found() {
    let imports = |edges: &[(&str, &str)]| {
        let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
        for (from, to) in edges {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        imports
    };
    assert_eq!(find_cycle(&imports(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    let cycle = find_cycle(&imports(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap();
    assert_eq!(cycle, ["b", "c", "b"]);
}
