Here is the script:

```python
result = spawn("mail", {"to": "a@example.org"}).result()
```
