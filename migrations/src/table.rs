//! A short way to write tables that come out the same on SQLite and PostgreSQL.
//!
//! Instants are microseconds since 1970 in a `bigint`: both databases compare and index them alike.

use sea_orm_migration::prelude::*;

/// A table in the making.
pub(crate) struct Table {
    name: &'static str,
    create: TableCreateStatement,
    indexes: Vec<IndexCreateStatement>,
}

/// Begins a table.
pub(crate) fn table(name: &'static str) -> Table {
    let mut create = sea_query::Table::create();
    create.table(Alias::new(name));
    Table {
        name,
        create,
        indexes: Vec::new(),
    }
}

macro_rules! columns {
    ($($(#[$doc:meta])* $method:ident, $null:ident => $kind:ident;)+) => {$(
        $(#[$doc])*
        pub(crate) fn $method(mut self, names: &[&'static str]) -> Self {
            for name in names {
                self.create.col(ColumnDef::new(Alias::new(*name)).$kind().$null());
            }
            self
        }
    )+};
}

impl Table {
    columns! {
        /// Identifiers.
        uuid, not_null => uuid;
        /// Identifiers that may be missing.
        uuid_null, null => uuid;
        /// Text.
        text, not_null => text;
        /// Text that may be missing.
        text_null, null => text;
        /// Instants and large counts.
        big, not_null => big_integer;
        /// Instants that may be missing.
        big_null, null => big_integer;
        /// Small numbers.
        int, not_null => integer;
        /// Codes.
        small, not_null => small_integer;
        /// Yes or no.
        boolean, not_null => boolean;
        /// Bytes.
        bytes, not_null => blob;
        /// Bytes that may be missing.
        bytes_null, null => blob;
        /// Scores.
        double, not_null => double;
        /// Scores that may be missing.
        double_null, null => double;
    }

    /// A number that the database gives, as primary key.
    pub(crate) fn serial(mut self, name: &'static str) -> Self {
        self.create.col(
            ColumnDef::new(Alias::new(name))
                .big_integer()
                .not_null()
                .auto_increment()
                .primary_key(),
        );
        self
    }

    /// The primary key.
    pub(crate) fn primary(mut self, columns: &[&'static str]) -> Self {
        let mut index = Index::create();
        for column in columns {
            index.col(Alias::new(*column));
        }
        self.create.primary_key(&mut index);
        self
    }

    /// A column that names a row of another table.
    pub(crate) fn reference(mut self, column: &'static str, table: &'static str) -> Self {
        let mut key = ForeignKey::create();
        key.from(Alias::new(self.name), Alias::new(column))
            .to(Alias::new(table), Alias::new("id"));
        self.create.foreign_key(&mut key);
        self
    }

    fn index_over(&self, columns: &[&'static str]) -> IndexCreateStatement {
        let mut index = Index::create();
        // PostgreSQL cuts names at 63 bytes.
        let mut name = format!("ix_{}_{}", self.name, columns.join("_"));
        name.truncate(60);
        index.name(name).table(Alias::new(self.name));
        for column in columns {
            index.col(Alias::new(*column));
        }
        index
    }

    /// A combination that comes once.
    pub(crate) fn unique(mut self, columns: &[&'static str]) -> Self {
        let mut index = self.index_over(columns);
        index.unique();
        self.indexes.push(index);
        self
    }

    /// A combination that is looked up.
    pub(crate) fn index(mut self, columns: &[&'static str]) -> Self {
        let index = self.index_over(columns);
        self.indexes.push(index);
        self
    }

    /// Makes it.
    pub(crate) async fn create(self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        manager.create_table(self.create).await?;
        for index in self.indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

/// Adds a column. SQLite takes one at a time.
pub(crate) async fn add(manager: &SchemaManager<'_>, table: &'static str, column: &mut ColumnDef) -> Result<(), DbErr> {
    let mut alter = sea_query::Table::alter();
    alter.table(Alias::new(table)).add_column(column);
    manager.alter_table(alter).await
}

/// Adds an index over columns.
pub(crate) async fn index(
    manager: &SchemaManager<'_>,
    table: &'static str,
    columns: &[&'static str],
) -> Result<(), DbErr> {
    let mut index = Index::create();
    index
        .name(format!("ix_{table}_{}", columns.join("_")))
        .table(Alias::new(table));
    for column in columns {
        index.col(Alias::new(*column));
    }
    manager.create_index(index).await
}
