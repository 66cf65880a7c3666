// The last script of the studio: opens what the address names.

function begin() {
  wireTheme(() => { drawLater(); views[view.name]?.drawn?.(); });
  document.addEventListener('keydown', (event) => { // text and numbers are typed, not commands
    if (event.target.matches?.('input[type=text], input[type=number], dialog *')) event.stopImmediatePropagation();
  }); // before the listener of `wire`, and after those of the controls themselves
  $('job-cancel')?.addEventListener('click', () => attempt(() => ask('job/cancel', {})));
  addEventListener('hashchange', () => { const { name, item } = fromAddress(); select(item, name); });
}

window.otoscope = {
  state: () => ({ ...(page ? playerState() : {}), view: view.name, item: view.item, trouble: $('trouble').hidden ? null : $('trouble').textContent, ...views[view.name]?.state?.() }),
  ...remote,
};
window.otoscope.ready = attempt(async () => {
  begin();
  for (const v of all.views) Object.assign(letters, views[v.name]?.letters ?? {});
  for (const v of all.views) await views[v.name]?.start();
  const { name, item } = fromAddress();
  if (name) { showView(name); await select(item, name); }
  showTheme();
});
