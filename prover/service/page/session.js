// The API key: typed in, kept for this tab alone, forgotten on signing out. Nothing else is stored.

const NAME = "vinfer-key";
let who = null;

/** The key, or null. */
export const key = () => sessionStorage.getItem(NAME);

/** What the service says about the key: tenant and scopes. */
export const caller = () => who;

/** Whether the key has a scope. */
export const may = (scope) => who?.scopes.includes(scope) ?? false;

/** Takes a key that the service has accepted. */
export function signIn(text, about) {
  sessionStorage.setItem(NAME, text);
  know(about);
}

/** Learns whose key it is. */
export function know(about) {
  who = { tenant: about.tenant, scopes: about.scopes };
  dispatchEvent(new Event("session"));
}

/** Forgets the key. */
export function signOut() {
  sessionStorage.removeItem(NAME);
  who = null;
  dispatchEvent(new Event("session"));
}
