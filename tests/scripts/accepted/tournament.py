"""Knock-out: pairs are judged in parallel, winners go on, the odd one out gets a bye."""


def rounds(players):
    number = 0
    while len(players) > 1:
        number += 1
        pairs = list(zip(players[::2], players[1::2]))
        verdicts = gather([spawn("judge", {"question": "Which is best?", "answers": list(pair)}) for pair in pairs])
        winners = [pair[v["winner"]] for pair, v in zip(pairs, verdicts)]
        if len(players) % 2:
            winners.append(players[-1])
        players = winners
        yield number, players


result = {f"round {n}": left for n, left in rounds(inputs["candidates"])}
