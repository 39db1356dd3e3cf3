with open("vendors.txt") as file:
    vendors = file.read()
result = [eval(vendors), globals()]
