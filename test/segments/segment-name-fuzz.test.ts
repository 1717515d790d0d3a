import assert from 'node:assert/strict'
import test from 'node:test'
import {
  claimedName,
  closedName,
  earlierNames,
  parseSegmentName,
  safeCameraName,
  segmentPattern,
  segmentStartMs,
  withSuffix,
  type SegmentName,
} from '../../src/segments/segment-name.ts'
import { SeededRandom, seedOf } from '../support/seeded-random.ts'

const inputs = 10_000

/** With what looks like a segment's own date, suffix or token, too. */
function cameraName(random: SeededRandom): string {
  const parts = ['Front', '_2', '_20250125_153045', '.1f0c93ab', '.mp4', '.', '_', 'Haustür ']
  return Array.from({ length: random.below(6) }, () =>
    random.chance(0.7) ? random.pick(parts) : random.text(20),
  ).join('')
}

function startedAt(random: SeededRandom): Pick<SegmentName, 'date' | 'time'> {
  const at = new Date(2000 + random.below(80), random.below(12), 1 + random.below(31))
  at.setSeconds(random.below(86_400))
  const digits = (value: number): string => String(value).padStart(2, '0')
  return {
    date: `${at.getFullYear()}${digits(at.getMonth() + 1)}${digits(at.getDate())}`,
    time: `${digits(at.getHours())}${digits(at.getMinutes())}${digits(at.getSeconds())}`,
  }
}

test('whatever a camera is called, the names of its segments go back and forth', (t) => {
  const seed = seedOf(t)
  const random = new SeededRandom(seed)
  for (let n = 0; n < inputs; n += 1) {
    const name = cameraName(random)
    const camera = safeCameraName(name, 'Camera_1')
    const says = `FUZZ_SEED=${seed}: ${JSON.stringify(name)}`
    assert.match(camera, /^[A-Za-z0-9-][A-Za-z0-9._-]*$/, says)
    assert.equal(safeCameraName(camera, 'x'), camera, says)

    const { date, time } = startedAt(random)
    const file = segmentPattern(camera).replace('%Y%m%d', date).replace('%H%M%S', time)
    const parts = { camera, date, time }
    assert.deepEqual(parseSegmentName(file), parts, says)
    assert.equal(closedName(file), file, says)
    const token = random
      .below(2 ** 32)
      .toString(16)
      .padStart(8, '0')
    assert.equal(closedName(claimedName(file, token)), file, says)
    const suffixed = withSuffix(file, 2 + random.below(99_998))
    assert.deepEqual(parseSegmentName(suffixed), parts, says)
    assert.deepEqual(earlierNames(suffixed), [file], says)
    const again = withSuffix(suffixed, 2 + random.below(99_998))
    assert.deepEqual(parseSegmentName(again), parts, says)
    assert.deepEqual(earlierNames(again), [suffixed, file], says)
    const startMs = segmentStartMs(parts, Date.now())
    assert.equal(new Date(startMs).getFullYear(), Number(date.slice(0, 4)), says)
  }
})

test('any name of a file is read as a segment of ours, or as none', (t) => {
  const seed = seedOf(t)
  const random = new SeededRandom(seed)
  let ours = 0
  for (let n = 0; n < inputs; n += 1) {
    const digits = (count: number): string => String(random.below(10 ** count)).padStart(count, '0')
    const { date, time } = random.chance(0.5)
      ? startedAt(random)
      : { date: digits(8), time: digits(6) }
    const likely = `${cameraName(random)}_${date}_${time}${random.pick(['', '_2', '.x'])}.mp4`
    const file = random.chance(0.8) ? likely : random.text(60)
    const says = `FUZZ_SEED=${seed}: ${JSON.stringify(file)}`
    const parts = parseSegmentName(file)
    for (const changed of [closedName(file), claimedName(file, 'x'), withSuffix(file, 3)])
      assert.equal(typeof changed, 'string', says)
    assert.notEqual(withSuffix(file, 2), file, says)
    assert.notEqual(withSuffix(file, 2), withSuffix(file, 3), says)
    if (!parts) continue
    ours += 1
    assert.ok(file.startsWith(`${parts.camera}_${parts.date}_${parts.time}`), says)
    assert.match(file, /\.mp4$/, says)
    assert.ok(Number.isFinite(segmentStartMs(parts, 0)), says)
  }
  t.diagnostic(`${ours} of ${inputs} were names of segments`)
  assert.ok(ours > inputs / 10)
})
