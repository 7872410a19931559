"""How large an index may become: rows of years and fleets that nobody measured, and what is asked of them."""
