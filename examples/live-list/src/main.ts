// The page: a token, a line that says how it goes, and the list.

import { Desks } from './desks.js';
import { follow } from './follow.js';

const form = document.querySelector<HTMLFormElement>('#form')!;
const field = document.querySelector<HTMLInputElement>('#token')!;
const status = document.querySelector<HTMLElement>('#status')!;
const list = document.querySelector<HTMLUListElement>('#desks')!;

const KEPT = 'live-list.token'; // for this tab, over a reload

async function start(token: string): Promise<void> {
  sessionStorage.setItem(KEPT, token);
  form.hidden = true;
  const desks = new Desks();
  await follow(token, desks, (said) => {
    status.textContent = said;
    list.replaceChildren(...desks.byName().map(({ name, status }) => row(name, status)));
  });
  sessionStorage.removeItem(KEPT);
  form.hidden = false;
}

function row(...texts: string[]): HTMLLIElement {
  const row = document.createElement('li');
  row.append(
    ...texts.map((text) => {
      const span = document.createElement('span');
      span.textContent = text;
      return span;
    }),
  );
  return row;
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void start(field.value.trim());
});

const kept = sessionStorage.getItem(KEPT);
if (kept) void start(kept);
else form.hidden = false;
