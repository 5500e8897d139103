'use strict';
// `require('upwhisk_action')`: what an action can ask about the activation it is serving. Unlike the environment,
// which all activations of a guest share, it answers for the activation whose code calls it, also after an `await`.

let current = () => ({});

function field(name) {
  const value = current()[name];
  return typeof value === 'string' ? value : '';
}

function deadlineMs() {
  return Number(field('deadline')) || Number(process.env.__OW_DEADLINE) || 0;
}

module.exports = {
  activationId: () => field('activation_id') || process.env.__OW_ACTIVATION_ID || '',
  transactionId: () => field('transaction_id') || process.env.__OW_TRANSACTION_ID || '',
  namespace: () => field('namespace') || process.env.__OW_NAMESPACE || '',
  actionName: () => field('action_name') || process.env.__OW_ACTION_NAME || '',
  actionVersion: () => field('action_version') || process.env.__OW_ACTION_VERSION || '',
  apiKey: () => field('api_key') || process.env.__OW_API_KEY || '',
  deadlineMs,
  remainingMs: () => Math.max(0, deadlineMs() - Date.now()),
};

// For the proxy: `find` returns the body of the /run that the calling code belongs to, or {}.
Object.defineProperty(module.exports, 'provide', { value: (find) => { current = find; }, enumerable: false });
