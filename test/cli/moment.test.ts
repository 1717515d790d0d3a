import assert from 'node:assert/strict'
import test from 'node:test'
import { readSpan } from '../../src/cli/moment.ts'
import { inZone } from '../support/time-zone.ts'

const about = new Date(2025, 0, 25, 15, 30).getTime()

for (const [text, moment] of [
  ['2025-01-24 15:45', new Date(2025, 0, 24, 15, 45)],
  ['2025-01-24T15:45:10', new Date(2025, 0, 24, 15, 45, 10)],
  ['2025-01-24', new Date(2025, 0, 24)],
  ['15:45', new Date(2025, 0, 25, 15, 45)],
  [' 9:05:07 ', new Date(2025, 0, 25, 9, 5, 7)],
  ['2025-01-24 15:45Z', new Date('2025-01-24T15:45:00Z')],
  ['2025-01-24 15:45 +02:00', new Date('2025-01-24T13:45:00Z')],
  ['2025-01-24 15:45-0530', new Date('2025-01-24T21:15:00Z')],
  ['2025-01-24T15:45:10.258', new Date(2025, 0, 24, 15, 45, 10, 258)],
  ['2025-01-24T15:45:10.258999+02:00', new Date('2025-01-24T13:45:10.258Z')],
] as const)
  test(`${text} is a moment`, () => {
    const ms = moment.getTime()
    assert.deepEqual(readSpan(text, undefined, about), { fromMs: ms, toMs: ms })
  })

for (const text of [
  '',
  'yesterday',
  '25:00',
  '12:60',
  '2025-02-30 12:00',
  '2025-02-31 10:00Z',
  '2025-13-01',
  '1',
  '+02:00',
])
  test(`${JSON.stringify(text)} is none`, () => {
    const why = readSpan(text, undefined, about)
    assert.match(typeof why === 'string' ? why : '', /^--at ".*" is no time; write it like/)
  })

for (const [at, until, minutes] of [
  ['2025-01-24 15:30', '15:45', 15],
  ['2025-01-24 23:50', '00:10', 20],
  ['2025-01-24 15:30 -03:00', '15:45', 15],
  ['2025-01-24 23:50Z', '0:10', 20],
  ['2025-01-24 15:30', '24:00', 510],
  ['15:30', '2025-01-26 15:30', 1440],
  ['2025-01-24 15:30 +01:00', '2025-01-24 15:30Z', 60],
] as const)
  test(`from ${at} until ${until} are ${minutes} minutes`, () => {
    const span = readSpan(at, until, about)
    assert.ok(typeof span === 'object')
    assert.equal((span.toMs - span.fromMs) / 60_000, minutes)
  })

test('an end before the beginning is refused', () => {
  assert.equal(
    readSpan('2025-01-24 15:30', '2025-01-24 15:29', about),
    '--until 2025-01-24 15:29 is before --at 2025-01-24 15:30',
  )
})

for (const [zone, at, until, minutes] of [
  ['Europe/Berlin', '2025-10-26 02:50', '02:10', 20],
  ['Europe/Berlin', '2025-10-26 02:50 +02:00', '02:10', 20],
  ['Europe/Berlin', '2025-10-26 02:50 +02:00', '2025-10-26 02:10', 20],
  ['Europe/Berlin', '2025-10-26 02:50 +01:00', '03:10', 20],
  ['Europe/Berlin', '2025-03-30 01:50', '03:10', 20],
  ['Asia/Tokyo', '2025-01-25 00:30', '15:45Z', 15],
  ['Africa/Cairo', '2025-04-25', '01:10', 10],
] as const)
  test(`in ${zone}, from ${at} until ${until} are ${minutes} minutes`, (t) => {
    inZone(t, zone)
    const span = readSpan(at, until, about)
    assert.ok(typeof span === 'object', JSON.stringify(span))
    assert.equal((span.toMs - span.fromMs) / 60_000, minutes)
  })

test('a local time that clocks skip is refused, as a beginning and as an end', (t) => {
  inZone(t, 'Europe/Berlin')
  assert.equal(
    readSpan('2025-03-30 02:30', '03:15', about),
    '--at "2025-03-30 02:30" is no time here: clocks are set forward then',
  )
  for (const at of ['2025-03-30 01:30', '2025-03-29 23:30'])
    assert.match(
      JSON.stringify(readSpan(at, '02:30', about)),
      /^"--until .*02:30.* is no time here/,
    )
})
