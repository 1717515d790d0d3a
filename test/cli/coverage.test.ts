import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { cliProgram } from './cli-program.ts'

for (const [name, ...args] of [['coverage'], ['find', '--at', '12:00']] as const)
  test(`${name}.sh says of a BASE_DIR that is not there no more than that`, async (t) => {
    const base = join(await temporaryFolder(t), 'mnt')
    const run = await cliProgram(t, name, { BASE_DIR: base })
    const none = await run(...args)
    assert.deepEqual([none.code, none.stdout], [1, ''])
    assert.match(none.stderr, /^✗ BASE_DIR .*mnt is not there: is its disk mounted\?$/m)
    await mkdir(base)
    assert.match((await run(...args)).stderr, /mnt holds no data\/: is its disk mounted\?$/m)
  })

test('where nothing was ever recorded, not all is well', async (t) => {
  const base = await temporaryFolder(t)
  await mkdir(join(base, 'data'))
  const { code, stdout } = await (await cliProgram(t, 'coverage', { BASE_DIR: base }))()
  assert.deepEqual(
    [code, stdout],
    [1, 'Nothing was recorded here, and nothing was to be expected.\n'],
  )
})

test('a camera is known by the name it was given, and however long ago it was recorded', async (t) => {
  const base = await temporaryFolder(t)
  const ledger = join(base, 'data', 'ledger')
  await mkdir(ledger, { recursive: true })
  const line = (camera: string, date: string) => ({
    ...{ file: `${camera}_${date.replaceAll('-', '')}_120000.mp4`, camera, bytes: 1, crc32: '0' },
    ...{ start: `${date}T12:00:00+00:00`, durationSeconds: 600, endpoint: 'https://s3.example' },
    ...{ bucket: 'footage', key: 'k', etag: 'e', uploadedAt: `${date}T12:10:00Z` },
  })
  const dates = Array.from({ length: 8 }, (_, index) => `2025-01-1${index}`)
  for (const date of dates) {
    const camera = date === dates[0] ? 'Old' : 'Camera_2'
    await writeFile(join(ledger, `${date}.ndjson`), `${JSON.stringify(line(camera, date))}\n`)
  }
  const settings = { BASE_DIR: base, CAMERA_2_NAME: '前門' }
  const find = await cliProgram(t, 'find', settings)
  const old = await find('--at', '2025-01-20 12:00', '--camera', 'Old')
  assert.equal(old.stdout, 'Old  nothing is known of any footage at 2025-01-20 12:00:00\n')
  const named = await find('--at', '2025-01-14 12:05', '--camera', '前門')
  assert.match(named.stdout, /^Camera_2 {2}Camera_2_20250114_120000\.mp4, from 5:00/)
  const coverage = await cliProgram(t, 'coverage', settings)
  assert.match((await coverage('--day', '2025-01-14', '--camera', '前門')).stdout, /^Camera_2 /m)
  const nobody = await coverage('--camera', 'Nobody')
  assert.match(
    nobody.stderr,
    /^✗ no camera called Nobody was ever recorded here; .*Camera_2, Old$/m,
  )
})
