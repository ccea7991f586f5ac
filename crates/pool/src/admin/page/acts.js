// An act of the operator's: tried first, shown as it would be, and done only when that is confirmed.

import { ask, NoAnswer } from "./client.js";
import { make, say, words } from "./words.js";

/** A line of text. */
export function line(text) {
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  return paragraph;
}

/** Shows what came of an act where it was asked for, and says it. */
export function tell(place, kind, text) {
  const notice = document.createElement("div");
  notice.className = `notice ${kind}`;
  notice.append(line(text));
  place.replaceChildren(notice);
  say(text);
}

/** In words, of the API or of the page. */
function reason(error, withoutAnswer) {
  return error instanceof NoAnswer ? withoutAnswer : error.message;
}

/**
 * Tries `act.body` at `act.path`; shows in `act.place` what `act.would` makes of the answer, and has it done once that is
 * confirmed with the button `act.confirm`. `act.did` makes a sentence of what was done; `act.after` follows it.
 * `act.from` is what it was asked with, which has the focus again afterwards.
 */
export async function propose(act) {
  const { place, from } = act;
  // Of two trials in one place the later one counts.
  const trial = {};
  place.trial = trial;
  try {
    const answer = await ask(act.path, { ...act.body, dry_run: true });
    if (place.trial === trial) showProposal(act, act.would(answer));
  } catch (error) {
    if (place.trial !== trial) return;
    tell(place, "bad", reason(error, words("away.reason")));
    from.focus();
  }
}

function showProposal(act, would) {
  const { place, from } = act;
  const proposal = make("proposal");
  proposal.querySelector(".would").append(...would);
  const [confirm, leave] = proposal.querySelectorAll("button");
  confirm.textContent = act.confirm;
  confirm.addEventListener("click", () => carryOut(act, confirm), { once: true });
  leave.addEventListener("click", () => {
    place.replaceChildren();
    say(words("leave.done"));
    from.focus();
    act.left?.();
  });
  place.replaceChildren(proposal);
  // Not the button: nobody confirms what was not read by pressing Enter twice.
  proposal.focus({ preventScroll: true });
  proposal.scrollIntoView({ block: "nearest" });
}

async function carryOut(act, button) {
  const { place, from } = act;
  button.disabled = true;
  try {
    const answer = await ask(act.path, { ...act.body, dry_run: false });
    tell(act.told ?? place, "good", act.did(answer));
    if (from.isConnected) from.focus();
    await act.after?.(answer);
  } catch (error) {
    tell(place, "bad", reason(error, words("away.act")));
    if (from.isConnected) from.focus();
  }
}

/** Takes back what was proposed, if what it was asked with is changed by now. */
export function takeBack(place) {
  place.trial = null;
  place.replaceChildren();
}
