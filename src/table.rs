//! Tables for a person: columns that line up, and cells that no terminal obeys.
//!
//! Pure.

use crate::escape::escaped;

/// On which side of a column its cells stand, and how many letters it is wide at least.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    Left(usize),
    Right(usize),
}

/// A line for each row, without its newline: each column is as wide as its widest cell, with two blanks between them.
pub fn lines(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| escaped(cell)).collect())
        .collect();
    let width = |column: usize| {
        let (Column::Left(least) | Column::Right(least)) = columns[column];
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.fold(least, usize::max)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(columns).zip(&widths);
        let padded = cells.map(|((cell, column), &width)| match column {
            Column::Left(_) => format!("{cell:<width$}"),
            Column::Right(_) => format!("{cell:>width$}"),
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        line.trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_cell_moves_the_cursor() {
        let rows = [["a", "1", "x"], ["b\u{1b}[2J\u{202e}", "1234567", ""]];
        let rows = rows.map(|row| row.map(String::from).to_vec());
        assert_eq!(
            lines(&[Column::Left(3), Column::Right(4), Column::Left(0)], &rows),
            [
                r"a                       1  x",
                r"b\x1b[2J\u{202e}  1234567"
            ]
        );
    }
}
