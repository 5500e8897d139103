// Notes who came in, and when. `async`: many notes may be taken at once.
async function main({ who = 'somebody' }) {
  console.log(`${who} came in`);
  return { note: `${who} came in` };
}
