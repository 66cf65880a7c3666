// What all our pages have: light and dark, as the system has it until somebody chooses.

const $ = (id) => document.getElementById(id);
const dark = matchMedia('(prefers-color-scheme: dark)');

function isDark() { return document.documentElement.dataset.theme ? document.documentElement.dataset.theme === 'dark' : dark.matches; }

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  try { localStorage.setItem('otoscope.theme', name); } catch (error) { /* a sandboxed frame has no storage */ }
  showTheme();
}

function showTheme() {
  $('theme').setAttribute('aria-pressed', String(isDark()));
  for (const after of showTheme.after) after();
}
showTheme.after = [];

function wireTheme(after = () => {}) { // `after` is called whenever colours change
  showTheme.after.push(after);
  if (showTheme.after.length > 1) return;
  $('theme').addEventListener('click', () => setTheme(isDark() ? 'light' : 'dark'));
  dark.addEventListener('change', showTheme);
  try { const kept = localStorage.getItem('otoscope.theme'); if (kept === 'dark' || kept === 'light') document.documentElement.dataset.theme = kept; } catch (error) { /* no storage */ }
}
