//! What the items of one module declare, import and say: names and paths as they are written, resolved nowhere here.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, Meta, Path, Token, UseTree, Visibility};

/// A path in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// Its names.
    pub path: Vec<String>,
    /// Where it stands in its file.
    pub line: usize,
}

/// What a name of a module is.
#[derive(Debug)]
pub(crate) enum Binding {
    /// Defined here.
    Item { public: bool, is_trait: bool },
    /// Brought by `use`.
    Import { public: bool, said: Said },
}

/// An import of everything.
#[derive(Debug)]
pub(crate) struct Glob {
    /// Whether others see what it brings.
    pub public: bool,
    /// Of what.
    pub said: Said,
}

/// The names of a module.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// What each stands for; modules are not among them.
    pub bound: BTreeMap<String, Vec<Binding>>,
    /// Where else names come from.
    pub globs: Vec<Glob>,
    /// `use _ as _`: no name, yet a use.
    pub unnamed: Vec<Said>,
    /// Paths in code.
    pub said: Vec<Said>,
    /// Names in macros that stand where items do.
    pub in_item_macros: BTreeSet<String>,
    /// Whether a macro of another crate stands where items do: the modules that it declares are named there.
    pub macro_from_elsewhere: bool,
}

/// Whether something is compiled for tests alone.
pub(crate) fn for_tests_alone(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|a| {
        a.path().is_ident("test")
            || a.path().is_ident("cfg") && a.parse_args::<Meta>().is_ok_and(|m| wants_test(&m))
    })
}

fn wants_test(condition: &Meta) -> bool {
    let Meta::List(list) = condition else {
        return condition.path().is_ident("test");
    };
    list.path.is_ident("all")
        && list
            .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
            .is_ok_and(|all| all.iter().any(wants_test))
}

impl Names {
    /// Of a module's items; inner modules have their own.
    pub(crate) fn of(items: &[Item]) -> Self {
        let mut names = Self::default();
        for item in items {
            if let Item::Macro(made) = item
                && made.ident.is_none()
                && !for_tests_alone(&made.attrs)
            {
                names.names_in(made.mac.tokens.clone());
                names.macro_from_elsewhere |= made.mac.path.segments.len() > 1;
            }
            names.visit_item(item);
        }
        names
    }

    fn names_in(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    self.in_item_macros.insert(name.unraw().to_string());
                }
                TokenTree::Group(group) => self.names_in(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    fn define(&mut self, name: &Ident, visibility: Option<&Visibility>, is_trait: bool) {
        let public = visibility.is_none_or(is_seen);
        let item = Binding::Item { public, is_trait };
        self.bound.entry(name.unraw().to_string()).or_default().push(item);
    }

    fn import(&mut self, tree: &UseTree, before: &[String], public: bool) {
        let with = |name: &Ident| [before, &[name.unraw().to_string()]].concat();
        let line = tree.span().start().line;
        match tree {
            UseTree::Path(p) => self.import(&p.tree, &with(&p.ident), public),
            UseTree::Group(g) => g.items.iter().for_each(|t| self.import(t, before, public)),
            UseTree::Glob(_) => {
                let path = before.to_vec();
                self.globs.push(Glob {
                    public,
                    said: Said { path, line },
                });
            }
            UseTree::Name(n) if n.ident == "self" => {
                if let Some(name) = before.last() {
                    self.bind(name.clone(), before.to_vec(), line, public);
                }
            }
            UseTree::Name(n) => self.bind(n.ident.unraw().to_string(), with(&n.ident), line, public),
            UseTree::Rename(r) => {
                let path = if r.ident == "self" {
                    before.to_vec()
                } else {
                    with(&r.ident)
                };
                if r.rename == "_" {
                    self.unnamed.push(Said { path, line });
                } else {
                    self.bind(r.rename.unraw().to_string(), path, line, public);
                }
            }
        }
    }

    fn bind(&mut self, name: String, path: Vec<String>, line: usize, public: bool) {
        let said = Said { path, line };
        self.bound
            .entry(name)
            .or_default()
            .push(Binding::Import { public, said });
    }

    fn say(&mut self, path: Vec<String>, line: usize) {
        self.said.push(Said { path, line });
    }

    /// The paths in a macro's text, which no grammar tells from other names: `a`, `a::b`, not `.a`.
    fn tokens(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let is = |at: usize, mark| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == mark);
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let begin = at;
            at += 1;
            match token {
                TokenTree::Ident(first) => {
                    let mut path = vec![first.unraw().to_string()];
                    while is(at, ':')
                        && is(at + 1, ':')
                        && let Some(TokenTree::Ident(next)) = tokens.get(at + 2)
                    {
                        path.push(next.unraw().to_string());
                        at += 3;
                    }
                    let is_field = begin > 0 && is(begin - 1, '.') && !(begin > 1 && is(begin - 2, '.'));
                    if !is_field {
                        self.say(path, first.span().start().line);
                    }
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    /// The paths in an attribute's strings, as in `#[serde(with = "crate::bytes")]`.
    fn strings(&mut self, stream: TokenStream) {
        for token in stream {
            match token {
                TokenTree::Group(group) => self.strings(group.stream()),
                TokenTree::Literal(literal) => {
                    let line = literal.span().start().line;
                    if let syn::Lit::Str(text) = syn::Lit::new(literal)
                        && let Ok(path) = text.parse::<Path>()
                    {
                        self.say(names_of(&path), line);
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

/// Whether a name is seen outside of its module.
fn is_seen(visibility: &Visibility) -> bool {
    match visibility {
        Visibility::Public(_) | Visibility::Restricted(_) => true,
        Visibility::Inherited => false,
    }
}

fn names_of(path: &Path) -> Vec<String> {
    path.segments
        .iter()
        .map(|s| s.ident.unraw().to_string())
        .collect()
}

/// The attributes of an item.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(i) => &i.attrs,
        Item::Enum(i) => &i.attrs,
        Item::ExternCrate(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::ForeignMod(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Macro(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Struct(i) => &i.attrs,
        Item::Trait(i) => &i.attrs,
        Item::TraitAlias(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Union(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[], // syn's list is open
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        if for_tests_alone(attributes(item)) {
            return;
        }
        match item {
            Item::Mod(_) => return, // a module of its own
            Item::Const(i) => self.define(&i.ident, Some(&i.vis), false),
            Item::Enum(i) => self.define(&i.ident, Some(&i.vis), false),
            Item::Fn(i) => self.define(&i.sig.ident, Some(&i.vis), false),
            Item::Static(i) => self.define(&i.ident, Some(&i.vis), false),
            Item::Struct(i) => self.define(&i.ident, Some(&i.vis), false),
            Item::Trait(i) => self.define(&i.ident, Some(&i.vis), true),
            Item::TraitAlias(i) => self.define(&i.ident, Some(&i.vis), true),
            Item::Type(i) => self.define(&i.ident, Some(&i.vis), false),
            Item::Union(i) => self.define(&i.ident, Some(&i.vis), false),
            Item::Macro(i) => {
                if let Some(name) = &i.ident {
                    self.define(name, None, false);
                }
            }
            _ => {} // what has no name
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            self.import(&item.tree, &[], is_seen(&item.vis));
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Const(i) => &i.attrs,
            syn::ImplItem::Fn(i) => &i.attrs,
            syn::ImplItem::Type(i) => &i.attrs,
            syn::ImplItem::Macro(i) => &i.attrs,
            _ => return visit::visit_impl_item(self, item), // syn's list is open
        };
        if !for_tests_alone(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !for_tests_alone(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !for_tests_alone(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !for_tests_alone(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !for_tests_alone(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        if let Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
            self.strings(list.tokens.clone());
        }
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            self.say(names_of(path), path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, made: &'ast syn::Macro) {
        self.visit_path(&made.path);
        self.tokens(made.tokens.clone());
    }
}
