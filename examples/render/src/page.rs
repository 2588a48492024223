//! Pages: a template around markdown.

use minijinja::{Environment, Error, ErrorKind, context};
use pulldown_cmark::{Event, Options, Parser};

use crate::{search, table};

const VERSION: &str = if cfg!(feature = "v2") { "2.0.0" } else { env!("CARGO_PKG_VERSION") };
const THEME: &str = if cfg!(feature = "v2") { "dusk" } else { "day" };
const EXAMPLE: &str = include_str!("../templates/example.md");

/// `text` as HTML. HTML inside it is shown as text: who sends it is not who reads the page.
pub(crate) fn markdown(text: &str) -> String {
    let harmless = Parser::new_ext(text, Options::all()).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        other => other,
    });
    let mut html = String::with_capacity(text.len() * 3 / 2);
    pulldown_cmark::html::push_html(&mut html, harmless);
    html
}

/// A page with a title and a text in markdown.
pub(crate) fn page(title: &str, text: &str) -> Result<String, Error> {
    rendered(title, &[("Text", markdown(text))])
}

/// The page that shows all.
pub(crate) fn all() -> Result<String, Error> {
    let failed = |what: String| Error::new(ErrorKind::InvalidOperation, what);
    let marked = search::marked(search::TEXT).map_err(|reason| failed(reason.to_string()))?;
    let table = table::html(table::CSV.as_bytes()).map_err(|reason| failed(reason.to_string()))?;
    rendered("Rendered by a module", &[("Markdown", markdown(EXAMPLE)), ("Table", table), ("Search", format!("<p>{marked}</p>\n"))])
}

fn rendered(title: &str, parts: &[(&str, String)]) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.add_template("base.html", include_str!("../templates/base.html"))?;
    environment.add_template("page.html", include_str!("../templates/page.html"))?;
    environment.get_template("page.html")?.render(context! { title, parts, theme => THEME, version => VERSION })
}
