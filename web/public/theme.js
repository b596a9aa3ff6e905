// Runs before the first paint, so that the page never flashes in the wrong theme.
(function () {
  var choice = 'system';
  try {
    choice = localStorage.getItem('pharos.theme') || 'system';
  } catch (e) {
    // Storage may be blocked; follow the system then.
  }
  var light = choice === 'light' || (choice === 'system' && matchMedia('(prefers-color-scheme: light)').matches);
  document.documentElement.dataset.theme = light ? 'light' : 'dark';
})();
