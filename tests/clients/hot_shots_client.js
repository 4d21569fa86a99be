// The Node client, driven through one fixed tour of calls or through a large number of them.
//
// Usage: hot_shots_client.js tour|volume TARGET [COUNT]
// TARGET is HOST:PORT or unix://PATH. Ends with an error when a single send fails.
'use strict';

const StatsD = require('hot-shots');

// A sample rate makes the client throw dice: every throw has to let the sample pass.
Math.random = () => 0;

const PAST = 1700000000;
const [what, target, count] = process.argv.slice(2);
const errors = [];

function client() {
  const options = {
    errorHandler: (error) => errors.push(error),
    maxBufferSize: 1432,
    includeDatadogTelemetry: false,
    // A full socket makes the client try again, not drop.
    udsRetryOptions: { retries: 100000, retryDelayMs: 1, maxRetryDelayMs: 10, backoffFactor: 2 },
  };
  if (target.startsWith('unix://')) {
    return new StatsD({ ...options, protocol: 'uds', path: target.slice('unix://'.length) });
  }
  const colon = target.lastIndexOf(':');
  const host = target.slice(0, colon).replace(/[[\]]/g, '');
  return new StatsD({ ...options, host, port: Number(target.slice(colon + 1)) });
}

function tour(statsd) {
  const tags = { env: 'dev', team: 'grey' };
  statsd.increment('tour.count', 3, tags);
  statsd.increment('tour.count', 4, tags);
  statsd.decrement('tour.count', 1, tags);
  statsd.increment('tour.sampled', 2, 0.5);
  statsd.increment('tour.sampled', 3, 0.5);
  statsd.gauge('tour.gauge', 1.5, tags);
  statsd.gauge('tour.gauge', -2.25, tags);
  for (const value of [1, 2, 3, 4, 10]) {
    statsd.histogram('tour.histogram', value, tags);
    statsd.timing('tour.timing', value * 10, tags);
    statsd.distribution('tour.distribution', value, tags);
  }
  for (const member of ['a', 'b', 'a', 'c']) {
    statsd.set('tour.set', member, tags);
  }
  statsd.gauge('tour.past.gauge', 7, { tags, timestamp: PAST });
  statsd.increment('tour.past.count', 9, { tags, timestamp: PAST });
  const happened = new Date(PAST * 1000);
  statsd.event('tour title', 'first line\nsecond | line', {
    date_happened: happened,
    hostname: 'tour-host',
    aggregation_key: 'tour-key',
    priority: 'low',
    source_type_name: 'tour-source',
    alert_type: 'warning',
  }, tags);
  statsd.check('tour.check', statsd.CHECKS.CRITICAL, {
    date_happened: happened,
    hostname: 'tour-host',
    message: 'down | and out',
  }, tags);
}

// Lets the event loop turn now and then, as a real program does.
async function volume(statsd, total) {
  for (let number = 0; number < total; number += 1) {
    statsd.increment(`volume.node.${number % 100}`, 1, { env: 'dev', shard: String(number % 7) });
    if (number % 1000 === 999) {
      await new Promise((resolve) => { setImmediate(resolve); });
    }
  }
}

async function main() {
  const statsd = client();
  if (what === 'tour') {
    tour(statsd);
  } else {
    await volume(statsd, Number(count || 100000));
  }
  await new Promise((resolve) => { statsd.close((error) => { if (error) { errors.push(error); } resolve(); }); });
  if (errors.length > 0) {
    console.error(`${errors.length} errors, the first: ${errors[0].stack}`);
    process.exitCode = 1;
  }
}

main();
