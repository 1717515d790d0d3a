import assert from 'node:assert/strict'
import test from 'node:test'
import { coverageText } from '../../src/cli/coverage-text.ts'
import { dayCoverage, expectedOf, partsOfDay, type DayFacts } from '../../src/cli/day-coverage.ts'
import type { Stretch } from '../../src/cli/stretches.ts'
import type { Gap } from '../../src/segments/gaps.ts'
import type { LedgerLine } from '../../src/uploader/ledger.ts'
import { inZone } from '../support/time-zone.ts'

const day = '2025-01-25'
const whole = {
  fromMs: new Date(2025, 0, 25).getTime(),
  toMs: new Date(2025, 0, 26).getTime(),
}

function at(time: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = time.split(':').map(Number)
  return new Date(2025, 0, 25, hours, minutes, seconds).getTime()
}

function stretch(from: string, to: string, where: 'S3' | 'here' = 'S3'): Stretch {
  const stored = where === 'S3' ? { stored: {} as LedgerLine } : {}
  return { camera: 'Front', file: `${from}.mp4`, fromMs: at(from), toMs: at(to), ...stored }
}

function gap(from: string, to: string, reason = 'camera silent'): Gap {
  return { camera: 'Front', fromMs: at(from), toMs: at(to), reason }
}

function coverageOf(facts: Partial<DayFacts>) {
  const none = { camera: 'Front', day, whole, expected: whole }
  const nothing = { stretches: [], gaps: [], passedOver: [] }
  return dayCoverage({ ...none, ...nothing, ...facts })
}

test('files that follow each other leave nothing missing, though names have whole seconds only', () => {
  const stretches = [stretch('0:00', '12:00:00'), stretch('12:00:01', '24:00')]
  const { percent, missing, parts } = coverageOf({ stretches })
  assert.deepEqual({ percent, missing }, { percent: 100, missing: [] })
  assert.deepEqual(new Set(parts), new Set(['stored']))
})

test('a hole that a gap explains is missing once, and one that none does is unexplained', () => {
  const stretches = [stretch('0:00', '6:00'), stretch('6:10', '12:00'), stretch('12:30', '24:00')]
  const { missing, percent, parts } = coverageOf({ stretches, gaps: [gap('6:00:01', '6:09:58')] })
  assert.deepEqual(missing, [
    { fromMs: at('6:00:01'), toMs: at('6:09:58'), reason: 'camera silent' },
    { fromMs: at('12:00'), toMs: at('12:30') },
  ])
  assert.ok(Math.abs((percent ?? 0) - (100 * (1440 - 40)) / 1440) < 0.01)
  assert.equal(parts[24], 'partly')
  assert.deepEqual(parts.slice(47, 51), ['stored', 'missing', 'missing', 'stored'])
})

test('a hole that a gap explains in part is unexplained for the rest', () => {
  const stretches = [stretch('0:00', '6:00'), stretch('7:00', '24:00')]
  const { missing } = coverageOf({ stretches, gaps: [gap('6:00', '6:30')] })
  assert.deepEqual(
    missing.map(({ reason }) => reason),
    ['camera silent', undefined],
  )
})

test('a pause within a file is missing, though the file lasts longer', () => {
  const { missing, percent } = coverageOf({
    stretches: [stretch('0:00', '24:00')],
    gaps: [gap('3:00', '3:00:10', 'camera paused')],
  })
  assert.equal(missing.length, 1)
  assert.ok((percent ?? 0) < 100)
})

test('what waits is recorded, and shows', () => {
  const { parts, percent } = coverageOf({
    stretches: [stretch('0:00', '12:00'), stretch('12:00', '24:00', 'here')],
  })
  assert.equal(percent, 100)
  assert.deepEqual([parts[47], parts[48]], ['stored', 'waiting'])
})

test('nothing is expected before the first footage of a camera, nor after now', () => {
  const { parts, percent, missing } = coverageOf({
    expected: { fromMs: at('8:00'), toMs: at('20:00') },
    stretches: [stretch('8:00', '19:59:59')],
  })
  assert.deepEqual({ percent, missing }, { percent: 100, missing: [] })
  assert.deepEqual(
    [parts[31], parts[32], parts[79], parts[80]],
    ['none', 'stored', 'stored', 'none'],
  )
  const never = coverageOf({ expected: { fromMs: Infinity, toMs: at('20:00') } })
  assert.deepEqual(never.percent, undefined)
  assert.deepEqual(
    never.parts,
    Array.from({ length: partsOfDay }, () => 'none'),
  )
})

test('of a day, footage is expected from the first on until now, or until a camera is recorded no more', () => {
  const none = { whole, firstMs: -Infinity, overMs: undefined, stretches: [], gaps: [] }
  const expected = (facts: object, now: string) => {
    const { fromMs, toMs } = expectedOf({ ...none, ...facts }, at(now))
    return [fromMs - whole.fromMs, toMs - whole.fromMs].map((ms) => ms / 1000)
  }
  const dawn = 6 * 3600
  assert.deepEqual(expected({}, '30:00'), [0, 24 * 3600])
  assert.deepEqual(expected({ firstMs: at('6:00') }, '30:00'), [dawn, 24 * 3600])
  assert.deepEqual(expected({ overMs: at('6:00') }, '30:00'), [0, dawn])
  // What is written of a file that still grows is a little old.
  assert.deepEqual(expected({}, '6:00'), [0, dawn - 30])
  assert.deepEqual(expected({ stretches: [stretch('5:00', '5:59:50')] }, '6:00'), [0, dawn - 10])
  assert.deepEqual(expected({ stretches: [stretch('5:00', '5:59')] }, '6:00'), [0, dawn - 30])
  assert.deepEqual(expected({ gaps: [gap('5:00', '6:00')] }, '6:00'), [0, dawn])
})

test('what the clock passed over is not missing, and a gap beside it is', () => {
  const { percent, missing, parts } = coverageOf({
    stretches: [stretch('0:00', '6:00'), stretch('8:15', '24:00')],
    passedOver: [{ fromMs: at('6:00'), toMs: at('8:00') }],
    gaps: [gap('8:00', '8:15')],
  })
  assert.deepEqual(missing, [{ fromMs: at('8:00'), toMs: at('8:15'), reason: 'camera silent' }])
  assert.ok(Math.abs((percent ?? 0) - (100 * (22 * 60 - 15)) / (22 * 60)) < 0.01, String(percent))
  assert.deepEqual(parts.slice(23, 34), [
    'stored',
    ...Array.from({ length: 8 }, () => 'none'),
    'missing',
    'stored',
  ])
})

test('a part of which next to nothing was to be expected is not missing', () => {
  const { parts, missing } = coverageOf({
    expected: { fromMs: at('7:59:59'), toMs: at('20:00') },
    stretches: [stretch('7:59:59', '20:00')],
  })
  assert.deepEqual([missing, parts[31], parts[32]], [[], 'stored', 'stored'])
})

test('the hours above a bar are where they are in it when summer time begins', (t) => {
  inZone(t, 'Europe/Berlin')
  const spring = { fromMs: new Date(2025, 2, 30).getTime(), toMs: new Date(2025, 2, 31).getTime() }
  const text = coverageText([
    coverageOf({ day: '2025-03-30', whole: spring, expected: spring, stretches: [] }),
  ])
  // 03:00 is two hours after midnight, of 23.
  assert.match(text, /^2025-03-30 {9}0 {7}3 {12}6/)
})

test('what coverage.sh prints', () => {
  const stretches = [
    stretch('8:00', '12:00'),
    stretch('12:17:30', '18:00'),
    stretch('18:00:09', '20:00', 'here'),
  ]
  const expected = { fromMs: at('8:00'), toMs: at('20:00') }
  const coverage = coverageOf({ expected, stretches, gaps: [gap('12:00', '12:17:29')] })
  assert.equal(
    coverageText([coverage]),
    `2025-01-25         0           3           6           9           12          15          18          21          24
Front      97.5%  |                                ████████████████·!██████████████████████!▒▒▒▒▒▒▒                |
                   12:00:00 – 12:17:29     17 min  camera silent
                   18:00:00 – 18:00:09        9 s  unexplained

█ in S3   ▒ recorded, waiting   ! partly missing   · missing
`,
  )
})
