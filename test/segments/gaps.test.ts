import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { Gaps } from '../../src/segments/gaps.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

test('a gap is a line in the file of the day when it begins', async (t) => {
  const folder = join(await temporaryFolder(t), 'gaps')
  const fromMs = new Date(2025, 0, 25, 23, 59, 30).getTime()
  await new Gaps(folder).append({
    camera: 'Front',
    fromMs,
    toMs: fromMs + 60_500,
    reason: 'camera silent',
  })
  assert.deepEqual(readdirSync(folder), ['2025-01-25.ndjson'])
  const line = JSON.parse(readFileSync(join(folder, '2025-01-25.ndjson'), 'utf8')) as object
  assert.deepEqual(
    { ...line, from: '', to: '' },
    {
      ...{ kind: 'gap', camera: 'Front', from: '', to: '' },
      ...{ seconds: 60.5, reason: 'camera silent' },
    },
  )
})

test('a gap over which the clock was set back has no length rather than a negative one', async (t) => {
  const folder = await temporaryFolder(t)
  const fromMs = new Date(2025, 0, 25, 12).getTime()
  await new Gaps(folder).append({ camera: 'Front', fromMs, toMs: 0, reason: 'recorder down' })
  const { from, to } = JSON.parse(
    readFileSync(join(folder, '2025-01-25.ndjson'), 'utf8'),
  ) as Record<string, string>
  assert.equal(from, to)
})
