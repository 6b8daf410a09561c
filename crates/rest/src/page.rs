//! Lists are given page by page.

use domain::{Cursor, Limit, Page, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which page of a list is asked for. A list that takes more parameters has these two among its
/// own, and makes a `PageQuery` of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next_cursor` of the page before; absent for the first page.
    pub cursor: Option<String>,
    /// How many items, 1 to 1000; 100 unless given.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u32>,
}

impl PageQuery {
    /// Where the page begins and how long it is.
    ///
    /// # Errors
    /// A cursor that no page gave, or a limit out of bounds.
    pub fn bounds(&self) -> Result<(Option<Cursor>, Limit), Problem> {
        let cursor = self.cursor.as_deref().map(Cursor::parse).transpose()?;
        Ok((cursor, Limit::new(self.limit)?))
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PageBody<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// `cursor` for the next page; null on the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<T, U: Into<T>> From<Page<U>> for PageBody<T> {
    fn from(page: Page<U>) -> Self {
        Self {
            items: page.items.into_iter().map(Into::into).collect(),
            next_cursor: page.next.as_ref().map(Cursor::encode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_of_a_page_leads_to_the_next() {
        let rows = vec!["a", "b", "c"];
        let page = Page::from_rows(rows, Limit::new(Some(2)).unwrap(), ToString::to_string);
        let body = PageBody::<String>::from(page);
        assert_eq!(
            serde_json::to_value(&body).unwrap(),
            serde_json::json!({"items": ["a", "b"], "next_cursor": "62"})
        );
        let (cursor, limit) = PageQuery { cursor: body.next_cursor, limit: None }.bounds().unwrap();
        assert_eq!((cursor.unwrap().key(), limit.get()), ("b", 100));
    }

    #[test]
    fn wrong_bounds_are_refused_by_name() {
        let field = |query: PageQuery| query.bounds().unwrap_err().field;
        let limit = |limit| PageQuery { limit: Some(limit), ..PageQuery::default() };
        assert_eq!(field(limit(0)).as_deref(), Some("limit"));
        assert_eq!(field(limit(1001)).as_deref(), Some("limit"));
        let cursor = PageQuery { cursor: Some("x".to_owned()), limit: None };
        assert_eq!(field(cursor).as_deref(), Some("cursor"));
    }
}
