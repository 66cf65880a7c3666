// The page of a table: heads that sort, filters that choose panels.

const said = (words) => { $('status').textContent = words; };

// --- sorting -----------------------------------------------------------------------------------------------------

function valueOf(row, column, kind) {
  const text = row.cells[column].dataset.value;
  if (text === undefined) return null;
  return kind === 'number' ? Number(text) : text;
}

function compare(a, b, up) { // what is not defined comes last, either way
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === 'number' ? a - b : a.localeCompare(b, 'en', { numeric: true });
  return up ? order : -order;
}

function sortBy(head) {
  const table = head.closest('table');
  const heads = [...head.parentElement.cells];
  const column = heads.indexOf(head);
  const before = head.getAttribute('aria-sort');
  const up = before === 'none' ? head.dataset.way === 'up' : before !== 'ascending';
  for (const other of heads) other.setAttribute('aria-sort', other === head ? (up ? 'ascending' : 'descending') : 'none');
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => compare(valueOf(a, column, head.dataset.kind), valueOf(b, column, head.dataset.kind), up));
  table.tBodies[0].append(...rows);
  said(`sorted by ${head.innerText.replace(/\s+/g, ' ').trim()}, ${up ? 'lowest first' : 'highest first'}`);
}

// --- filters -----------------------------------------------------------------------------------------------------

const choices = () => Object.fromEntries([...document.querySelectorAll('.filters input:checked')].map((input) => [input.name, input.value]));

function filter() {
  const wanted = Object.entries(choices()).filter(([, word]) => word !== '');
  for (const part of document.querySelectorAll('.panel, .of-panel')) {
    part.hidden = !wanted.every(([column, word]) => part.getAttribute(`data-${column}`) === word);
  }
  return document.querySelectorAll('.panel:not([hidden])').length;
}

// --- wiring ------------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll('.sort')) button.addEventListener('click', () => sortBy(button.closest('th')));
for (const input of document.querySelectorAll('.filters input')) {
  input.addEventListener('change', () => { const shown = filter(); said(`${shown} ${shown === 1 ? 'table' : 'tables'} shown`); });
}
document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); document.querySelector('.panel:not([hidden]) .sort').focus(); });
filter();
wireTheme();
showTheme();

window.otoscope = {
  ready: Promise.resolve(),
  state: () => ({
    panels: [...document.querySelectorAll('.panel:not([hidden]) h2')].map((head) => head.innerText),
    rows: [...document.querySelectorAll('.panel:not([hidden]) .results')].map((table) => [...table.tBodies[0].rows].map((row) => row.cells[0].dataset.value)),
    sorted: [...document.querySelectorAll('.panel:not([hidden]) th[aria-sort]:not([aria-sort=none])')].map((head) => [head.innerText.replace(/\s+/g, ' ').trim(), head.getAttribute('aria-sort')]),
    theme: isDark() ? 'dark' : 'light',
  }),
};
