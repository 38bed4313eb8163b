'use strict';
// All texts are in the markup; nothing here makes markup of text.

// Tables are sorted by a click on a column's name: numbers downwards first.
for (const table of document.querySelectorAll('table.sorted')) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.firstElementChild.addEventListener('click', () => {
      const isNumber = head.classList.contains('n');
      const before = head.getAttribute('aria-sort');
      const down = before ? before === 'ascending' : isNumber;
      const value = (row) => {
        const cell = row.cells[column];
        if (!isNumber) return cell.textContent;
        return cell.dataset.key === undefined ? -1 : Number(cell.dataset.key);
      };
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const [one, other] = [value(a), value(b)];
        const order = isNumber ? one - other : one.localeCompare(other);
        return down ? -order : order;
      });
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      table.tBodies[0].append(...rows);
    });
  });
}

// A graph fits the page at first, if it stays readable so.
const READABLE = 0.55;
for (const graph of document.querySelectorAll('.graph')) {
  const svg = graph.querySelector('svg');
  const [width, height] = [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
  let zoom = 1;
  const set = (to) => {
    zoom = Math.min(Math.max(to, 0.1), 4);
    svg.setAttribute('width', width * zoom);
    svg.setAttribute('height', height * zoom);
  };
  const fitting = () => Math.min(1, (graph.clientWidth - 2) / width);
  const center = () => { graph.scrollLeft = (graph.scrollWidth - graph.clientWidth) / 2; };
  set(Math.max(fitting(), READABLE));
  center();
  for (const button of graph.previousElementSibling.querySelectorAll('[data-zoom]')) {
    button.addEventListener('click', () => {
      const how = button.dataset.zoom;
      set(how === 'fit' ? fitting() : how === '+' ? zoom * 1.25 : how === '-' ? zoom / 1.25 : Number(how));
      center();
    });
  }
  // A click on a stage leads to its row.
  graph.addEventListener('click', (event) => {
    const stage = event.target.closest('[data-stage]');
    const row = stage && document.getElementById(`${graph.dataset.job}-stage${stage.dataset.stage}`);
    if (!row) return;
    document.querySelectorAll('tr.marked').forEach((other) => other.classList.remove('marked'));
    row.classList.add('marked');
    row.scrollIntoView({ block: 'center' });
  });
}

// What a bar stands for.
const tip = document.getElementById('tip');
document.addEventListener('pointermove', (event) => {
  const bar = event.target.closest && event.target.closest('[data-tip]');
  tip.hidden = !bar;
  if (!bar) return;
  tip.textContent = bar.dataset.tip;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
});
