import asyncio


async def ask(vendor):
    return await spawn("research", {"vendor": vendor})


async def main():
    found = await asyncio.gather(*[ask(vendor) for vendor in inputs["vendors"]])
    return found


result = asyncio.run(main())
